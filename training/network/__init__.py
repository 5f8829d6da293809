"""The network: an encoder that sees one tile at a time, a jigsaw head, and decoders over the whole grid."""
