"""The archive: millions of pictures judged anew with a bundle, and what another bundle would say of them."""
