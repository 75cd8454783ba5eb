#include "model/service.h"

namespace gorb::model {

std::string_view protocol_text(Protocol p) {
    switch (p) {
        case Protocol::tcp:
            return "tcp";
        case Protocol::udp:
            return "udp";
    }
    return "";
}

std::string_view forwarding_text(Forwarding f) {
    switch (f) {
        case Forwarding::nat:
            return "nat";
        case Forwarding::tunnel:
            return "tunnel";
        case Forwarding::dr:
            return "dr";
    }
    return "";
}

std::string ServiceKey::text() const {
    return (vip.text() += '/') += protocol_text(protocol);
}

}  // namespace gorb::model
