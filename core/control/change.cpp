#include "control/change.h"

namespace gorb::control {

const std::string& service_name(const Change& change) {
    static const std::string none;
    struct Name {
        const std::string& operator()(const PutService& c) const { return c.service.name; }
        const std::string& operator()(const PutBackend& c) const { return c.service; }
        const std::string& operator()(const PatchService& c) const { return c.service; }
        const std::string& operator()(const PatchBackend& c) const { return c.service; }
        const std::string& operator()(const DeleteService& c) const { return c.service; }
        const std::string& operator()(const DeleteBackend& c) const { return c.service; }
        const std::string& operator()(const KeepService& c) const { return c.service; }
        const std::string& operator()(const PutConfig&) const { return none; }
        const std::string& operator()(const Declare&) const { return none; }
        const std::string& operator()(const Adopt& c) const { return c.name; }
    };
    return std::visit(Name{}, change);
}

const std::string& backend_name(const Change& change) {
    static const std::string none;
    struct Name {
        const std::string& operator()(const PutBackend& c) const { return c.backend.name; }
        const std::string& operator()(const PatchBackend& c) const { return c.backend; }
        const std::string& operator()(const DeleteBackend& c) const { return c.backend; }
        const std::string& operator()(const PutService&) const { return none; }
        const std::string& operator()(const PatchService&) const { return none; }
        const std::string& operator()(const DeleteService&) const { return none; }
        const std::string& operator()(const KeepService&) const { return none; }
        const std::string& operator()(const PutConfig&) const { return none; }
        const std::string& operator()(const Declare&) const { return none; }
        const std::string& operator()(const Adopt&) const { return none; }
    };
    return std::visit(Name{}, change);
}

bool concerns_a_backend(const Change& change) {
    return std::holds_alternative<PutBackend>(change) || std::holds_alternative<PatchBackend>(change) ||
           std::holds_alternative<DeleteBackend>(change);
}

bool concerns_many(const Change& change) {
    if (const auto* deletion = std::get_if<DeleteService>(&change)) return deletion->drain > base::Nanos(0);
    return std::holds_alternative<PutConfig>(change) || std::holds_alternative<Declare>(change) ||
           std::holds_alternative<Adopt>(change);
}

}  // namespace gorb::control
