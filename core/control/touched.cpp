#include "control/touched.h"

namespace gorb::control {

bool Touched::add(const Change& change) {
    const std::string& service = service_name(change);
    const std::string& backend = backend_name(change);
    if (whole_.contains(service)) return false;
    if (backend.empty()) return add_whole(change, service);
    if (names_.contains({service, backend})) return false;
    // Its addresses, the one it has and the one it may get: another may want them, or just have left them.
    const auto* put = std::get_if<PutBackend>(&change);
    if (put && addresses_.contains({service, put->backend.address})) return false;
    const auto* entry = now_->services.find(service);
    const auto* present = entry ? (*entry)->backends.find(backend) : nullptr;
    names_.emplace(service, backend);
    if (put) addresses_.emplace(service, put->backend.address);
    if (present) addresses_.emplace(service, (*present)->spec.address);
    parts_.insert(service);
    return true;
}

bool Touched::add_whole(const Change& change, const std::string& service) {
    if (parts_.contains(service)) return false;
    if (const auto* put = std::get_if<PutService>(&change)) {
        const std::string* owner = now_->by_key.find(put->service.key);
        if (keys_.contains(put->service.key) || (owner && whole_.contains(*owner))) return false;
        keys_.insert(put->service.key);
    }
    whole_.insert(service);
    return true;
}

}  // namespace gorb::control
