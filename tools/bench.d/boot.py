PEERS = ["qemu"]
def measure(context): raise SystemExit("x")
