#include "store/difference.h"

namespace gorb::store {
namespace {

// Walks the backends of a service beside the wanted ones: both ascend by name.
class Backends {
  public:
    Backends(const model::ConfigService* wanted, Difference& to) : wanted_(wanted), to_(&to) {}

    void walk(const std::string& service, const model::ServiceEntry* now) {
        if (now) {
            now->backends.for_each([&](const std::string& name, const model::BackendPtr& backend) {
                while (more() && next().name < name) add(service);
                if (more() && next().name == name) {
                    if (!(next() == backend->spec)) to_->edit_backends.emplace_back(service, name);
                    ++at_;
                } else {
                    to_->drop_backends.emplace_back(service, name);
                }
            });
        }
        while (more()) add(service);
    }

  private:
    bool more() const { return wanted_ && at_ < wanted_->backends.size(); }
    const model::Backend& next() const { return wanted_->backends[at_]; }
    void add(const std::string& service) {
        to_->add_backends.emplace_back(service, next().name);
        ++at_;
    }

    const model::ConfigService* wanted_;
    Difference* to_;
    size_t at_ = 0;
};

}  // namespace

bool Difference::empty() const {
    return add_services.empty() && edit_services.empty() && drop_services.empty() && add_backends.empty() &&
           edit_backends.empty() && drop_backends.empty();
}

Difference difference(const model::Snapshot& now, const model::Config& wanted,
                      const std::function<bool(const model::ServiceEntry&)>& concerns) {
    Difference out;
    size_t at = 0;
    const auto add_up_to = [&](const std::string* name) {
        for (; at < wanted.services.size(); ++at) {
            const model::ConfigService& next = wanted.services[at];
            if (name && next.spec.name >= *name) return;
            out.add_services.push_back(next.spec.name);
            Backends(&next, out).walk(next.spec.name, nullptr);
        }
    };
    now.services.for_each([&](const std::string& name, const model::ServicePtr& entry) {
        add_up_to(&name);
        if (at < wanted.services.size() && wanted.services[at].spec.name == name) {
            const model::ConfigService& next = wanted.services[at++];
            if (!(next.spec == entry->spec)) out.edit_services.push_back(name);
            Backends(&next, out).walk(name, entry.get());
        } else if (!concerns || concerns(*entry)) {
            out.drop_services.push_back(name);
            Backends(nullptr, out).walk(name, entry.get());
        }
    });
    add_up_to(nullptr);
    return out;
}

}  // namespace gorb::store
