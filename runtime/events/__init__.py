"""The contract with the MES: topics, payloads, schemas."""
