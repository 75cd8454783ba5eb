"""The table that is loaded, in each form that somebody wants it in. floor.cpp has the same addresses."""


def vip(service):
    return f"10.{20 + service // 250}.{service % 250}.1"


def real(service, backend):
    number = (10 << 24) + (100 << 16) + service * 100 + backend
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def document(services, backends, changed=0, weight=100):
    """As PUT /config and --import take it; the first `changed` backends have another weight."""
    return {"services": {f"service-{s:05}": {
        "address": vip(s), "port": 80, "method": "wrr", "backends": {f"backend-{b:02}": {
            "address": real(s, b), "port": 8080, "pulse": {"type": "none"},
            "weight": weight if s * backends + b < changed else 100} for b in range(backends)}} for s in range(services)}}


def saved(services, backends):
    """As ipvsadm -R reads it."""
    return "".join(f"-A -t {vip(s)}:80 -s wrr\n" + "".join(
        f"-a -t {vip(s)}:80 -r {real(s, b)}:8080 -m -w 100\n" for b in range(backends)) for s in range(services))
