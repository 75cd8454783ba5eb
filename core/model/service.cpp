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

std::string_view initial_text(Initial value) {
    switch (value) {
        case Initial::unknown:
            return "unknown";
        case Initial::up:
            return "up";
        case Initial::down:
            return "down";
    }
    return "";
}

PulseList pulses_for_found(const ServiceKey& service, const base::Endpoint& backend) {
    if (service.protocol == Protocol::tcp && backend.port != 0) return {};
    static const PulseList unchecked = [] {
        PulseSpec pulse;
        pulse.type = "none";
        return PulseList({pulse});
    }();
    return unchecked;
}

DrainTime drain_time(base::Nanos wanted) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wanted).count();
    const bool fits = ms >= 0 && ms <= int64_t{UINT32_MAX};
    return DrainTime(fits ? static_cast<uint32_t>(ms) : UINT32_MAX);
}

std::string_view admin_text(Admin value) {
    switch (value) {
        case Admin::ready:
            return "ready";
        case Admin::drain:
            return "drain";
        case Admin::maint:
            return "maint";
    }
    return "";
}

std::string_view drain_then_text(DrainThen value) {
    switch (value) {
        case DrainThen::maint:
            return "maint";
        case DrainThen::remove:
            return "delete";
    }
    return "";
}

std::string_view on_down_text(OnDown value) {
    switch (value) {
        case OnDown::weight_zero:
            return "weight-zero";
        case OnDown::remove:
            return "remove";
    }
    return "";
}

std::string_view recovery_text(Recovery value) {
    switch (value) {
        case Recovery::immediate:
            return "immediate";
        case Recovery::ramp:
            return "ramp";
        case Recovery::history:
            return "history";
    }
    return "";
}

std::string ServiceKey::text() const {
    return (vip.text() += '/') += protocol_text(protocol);
}

}  // namespace gorb::model
