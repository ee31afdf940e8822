"""How good stored series are: counted, told in words, never repaired."""
