#include "model/config.h"

#include <Poco/JSON/Object.h>

#include <algorithm>
#include <map>

#include "model/fields.h"
#include "model/rules.h"

namespace gorb::model {
namespace {

using base::Fault;
using base::ObjectReader;
using Object = Poco::JSON::Object;
using Poco::Dynamic::Var;

// Lists of pulses seen last, so that equal ones become one. A few: what differs everywhere is not worth the
// search.
class PulsePool {
  public:
    void share(PulseList& pulses) {
        const auto same = std::find(seen_.begin(), seen_.end(), pulses);
        if (same == seen_.end()) {
            if (seen_.size() == most) seen_.pop_back();
            seen_.insert(seen_.begin(), pulses);
            return;
        }
        pulses = *same;
        std::rotate(seen_.begin(), same, same + 1);
    }

  private:
    static constexpr size_t most = 8;
    std::vector<PulseList> seen_;
};

class ConfigReader {
  public:
    explicit ConfigReader(const Defaults& defaults) : defaults_(&defaults) {}

    base::Result<Config> read(const Object::Ptr& document) {
        std::vector<Fault> own;
        ObjectReader doc(document, "", own);
        doc.any("revision");
        const Var* services = doc.any("services");
        if (!services) doc.fault("services", "is missing; it must be an object, {\"NAME\": {...}, ...}");
        doc.finish();
        add(own, "");
        if (services) {
            if (const Object* all = object("/services", *services)) {
                config_.services.reserve(all->size());
                for (const auto& [name, value] : *all) {
                    if (full()) break;
                    read_one(name, value);
                }
            }
        }
        if (!faults_.empty()) return base::fail(base::faults_error(std::move(faults_)));
        return std::move(config_);
    }

  private:
    bool full() const { return faults_.size() >= max_faults; }

    void add(std::string pointer, std::string what) {
        if (!full()) faults_.push_back({std::move(pointer), std::move(what)});
    }
    void add(std::vector<Fault>& faults, const std::string& place) {
        for (Fault& fault : faults) add(place + fault.pointer, std::move(fault.what));
        faults.clear();
    }

    const Object* object(const std::string& pointer, const Var& value) {
        if (value.type() == typeid(Object::Ptr)) return value.extract<Object::Ptr>().get();
        add(pointer, "must be an object, {...}");
        return nullptr;
    }
    bool name_is_good(const std::string& pointer, const std::string& name) {
        auto violation = name_violation(name);
        if (violation) add(pointer, "has no name that can be used: " + *violation);
        return !violation;
    }

    void read_one(const std::string& name, const Var& value) {
        const std::string place = "/services/" + base::pointer_token(name);
        if (!name_is_good(place, name) || !object(place, value)) return;
        std::vector<Fault> own;
        ObjectReader doc(value.extract<Object::Ptr>(), "", own);
        const Var* backends = doc.any("backends");
        ConfigService service{read_service(name, doc, *defaults_), {}};
        const bool good = own.empty();
        add(own, place);
        if (good) claim_key(service.spec, place);
        if (backends) read_backends(*backends, service, good, place + "/backends");
        config_.services.push_back(std::move(service));
    }

    void claim_key(const Service& service, const std::string& place) {
        const auto [at, first] = keys_.emplace(service.key, service.name);
        if (first) return;
        add(place, "has the address, port and protocol " + service.key.text() + " that service \"" +
                       at->second + "\" has");
    }

    // `good`: the service is, so that it can be asked whether a backend suits it.
    void read_backends(const Var& value, ConfigService& service, bool good, const std::string& place) {
        const Object* all = object(place, value);
        if (!all) return;
        service.backends.reserve(all->size());
        std::map<base::Endpoint, std::string> addresses;
        for (const auto& [name, backend] : *all) {
            if (full()) return;
            auto made = read_backend_of(service.spec, good, name, backend, place);
            if (!made) continue;
            const auto [at, first] = addresses.emplace(made->address, name);
            if (!first) {
                add(place + "/" + base::pointer_token(name), "has the address and port " +
                                                                 made->address.text() + " that backend \"" +
                                                                 at->second + "\" has");
            }
            service.backends.push_back(std::move(*made));
        }
    }

    std::optional<Backend> read_backend_of(const Service& service, bool good, const std::string& name,
                                           const Var& value, const std::string& all) {
        const auto place = [&] { return all + "/" + base::pointer_token(name); };
        if (name_violation(name) || value.type() != typeid(Object::Ptr)) {
            if (name_is_good(place(), name)) object(place(), value);
            return std::nullopt;
        }
        std::vector<Fault> own;
        ObjectReader doc(value.extract<Object::Ptr>(), "", own);
        Backend backend = read_backend(name, doc);
        if (own.empty() && good) {
            own = backend_in_service_violations(service, backend);
            const std::string address = "/" + address_name(doc);
            for (Fault& fault : own) {
                if (fault.pointer == "/address") fault.pointer = address;
            }
        }
        if (!own.empty()) {
            add(own, place());
            return std::nullopt;
        }
        pulses_.share(backend.pulses);
        return backend;
    }

    const Defaults* defaults_;
    Config config_;
    std::vector<Fault> faults_;
    std::map<ServiceKey, std::string> keys_;
    PulsePool pulses_;
};

}  // namespace

base::Result<Config> read_config(std::string_view body, const Defaults& defaults) {
    auto document = base::parse_json_object(body);
    if (!document) return base::fail(std::move(document.error()));
    return ConfigReader(defaults).read(*document);
}

void write_config_services(base::JsonWriter& out, const Snapshot& snapshot) {
    base::key(out, "services");
    out.StartObject();
    snapshot.services.for_each([&](const std::string& name, const ServicePtr& service) {
        base::key(out, name);
        out.StartObject();
        write_service_members(out, service->spec);
        base::key(out, "backends");
        out.StartObject();
        service->backends.for_each([&](const std::string& backend, const BackendPtr& entry) {
            base::key(out, backend);
            write_backend_options(out, entry->spec);
        });
        out.EndObject();
        out.EndObject();
    });
    out.EndObject();
}

}  // namespace gorb::model
