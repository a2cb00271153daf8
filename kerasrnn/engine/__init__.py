"""How a recurrent layer runs over time: operations in C, and the body of an exported graph."""
