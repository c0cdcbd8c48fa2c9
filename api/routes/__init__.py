"""The endpoints. Each reads its request, asks its neighbours and writes the answer; rules live elsewhere."""
