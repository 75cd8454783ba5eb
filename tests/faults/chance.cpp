// Changes by chance, and what their answers promise.
#include <algorithm>
#include <sstream>

#include "faults/world.h"

namespace gorb::faults {

using control::Change;

namespace {

std::string service_name(Dice& dice) {
    return "s" + std::to_string(dice.roll(4));
}
std::string backend_name(Dice& dice) {
    return "b" + std::to_string(dice.roll(5));
}
std::optional<control::Match> match(Dice& dice) {
    return dice.roll(3) == 0 ? std::optional(control::Match{true, {}}) : std::nullopt;
}

constexpr const char* schedulers[] = {"wrr", "rr", "wlc"};
constexpr const char* admins[] = {"ready", "drain", "maint"};

std::string text(const model::Service& service) {
    return service.key.text() + " " + service.scheduler;
}
std::string text(const model::Backend& backend) {
    return backend.address.text() + " " + std::to_string(backend.weight) + " " +
           admins[static_cast<size_t>(backend.admin)] + (backend.backup ? " backup" : " primary");
}

std::map<std::string, std::string> texts(const model::Config& config) {
    std::map<std::string, std::string> all;
    for (const model::ConfigService& service : config.services) {
        all[service.spec.name] = text(service.spec);
        for (const model::Backend& backend : service.backends)
            all[service.spec.name + "/" + backend.name] = text(backend);
    }
    return all;
}

// What add_foreign() makes, as it is once it is adopted.
model::Config as_adopted(const std::string& name) {
    model::ConfigService service;
    service.spec.name = name;
    service.spec.key.vip = foreign_key().vip;
    service.spec.scheduler = "sh";
    for (const char* address : {"10.1.0.1", "10.1.0.77"}) {
        model::Backend backend;
        backend.name = std::string(address) + "-80";
        backend.address = *base::Endpoint::parse(std::string(address) + ":80");
        backend.weight = 77;
        service.backends.push_back(backend);
    }
    model::Config config;
    config.services.push_back(service);
    return config;
}

// What text() says of a backend, in its parts.
struct Words {
    explicit Words(const std::string& text) {
        std::istringstream in(text);
        in >> address >> weight >> admin >> backup;
    }
    std::string text() const { return address + " " + weight + " " + admin + " " + backup; }
    std::string address, weight, admin, backup;
};

std::string with_admin(const std::string& was, const std::string& admin) {
    Words words(was);
    words.admin = admin;
    return words.text();
}

// What a patch of Dice sets `member` to, "" when it does not.
std::string value_in(const std::string& body, const std::string& member) {
    const size_t at = body.find("\"" + member + "\": ");
    if (at == std::string::npos) return "";
    std::string rest = body.substr(at + member.size() + 4);
    rest = rest.substr(0, rest.find_first_of(",}"));
    std::erase(rest, '"');
    return rest;
}

// A patch of Dice in the words of text().
std::string patched(const std::string& was, const std::string& body) {
    if (const std::string method = value_in(body, "method"); !method.empty())
        return was.substr(0, was.find(' ') + 1) + method;
    Words words(was);
    if (const std::string weight = value_in(body, "weight"); !weight.empty()) words.weight = weight;
    if (const std::string admin = value_in(body, "admin"); !admin.empty()) words.admin = admin;
    if (const std::string backup = value_in(body, "backup"); !backup.empty())
        words.backup = backup == "true" ? "backup" : "primary";
    return words.text();
}

}  // namespace

model::Service Dice::service(const std::string& name) {
    model::Service s;
    s.name = name;
    s.key.vip = *base::Endpoint::parse("10.0.0." + std::to_string(1 + roll(6)) + ":80");
    s.scheduler = schedulers[roll(3)];
    return s;
}

model::Backend Dice::backend(const std::string& name) {
    model::Backend b;
    b.name = name;
    b.address = *base::Endpoint::parse("10.1.0." + std::to_string(1 + roll(7)) + ":80");
    b.weight = static_cast<uint32_t>(100 * (1 + roll(2)));
    model::PulseSpec pulse;
    pulse.type = "none";
    pulse.initial = roll(4) ? model::Initial::up : model::Initial::unknown;
    b.pulses = model::PulseList({pulse});
    if (wide && roll(10) == 0) b.admin = static_cast<model::Admin>(roll(3));
    if (wide && roll(6) == 0) b.backup = true;
    return b;
}

// Services of their own names and addresses, so that they are never in the way of the others.
model::Config Dice::declared() {
    model::Config config;
    for (uint64_t i = 0; i < 2; ++i) {
        if (roll(4) == 0) continue;
        model::ConfigService one;
        one.spec = service("f" + std::to_string(i));
        one.spec.key.vip = *base::Endpoint::parse("10.0.0." + std::to_string(7 + i) + ":80");
        std::set<base::Endpoint> addresses;
        for (uint64_t k = 0; k < 3; ++k) {
            model::Backend b = backend("b" + std::to_string(k));
            b.admin = model::Admin::ready;
            if (roll(2) && addresses.insert(b.address).second) one.backends.push_back(std::move(b));
        }
        config.services.push_back(std::move(one));
    }
    return config;
}

Change Dice::wide_change() {
    const base::Nanos drain(std::chrono::seconds(1 + roll(20)));
    switch (roll(10)) {
        case 0:
            return control::DeleteService{service_name(*this), {}, drain};
        case 1:
        case 2:
        case 3:
            return control::DeleteBackend{service_name(*this), backend_name(*this), {}, drain};
        case 4: {
            model::PulseSpec pulse;
            pulse.type = "none";
            return control::Adopt{foreign_key(), service_name(*this), model::PulseList({pulse})};
        }
        case 5:
            return control::Declare{declared(), true};
        case 6:
            return control::PatchBackend{"f" + std::to_string(roll(2)),
                                         backend_name(*this),
                                         std::string(R"({"admin": ")") + admins[roll(3)] + R"("})",
                                         {}};
        default:
            return control::PatchBackend{service_name(*this), backend_name(*this),
                                         std::string(R"({"backup": )") + (roll(2) ? "true" : "false") + "}",
                                         match(*this)};
    }
}

model::Config Dice::config() {
    model::Config config;
    std::set<base::Endpoint> keys;
    for (uint64_t i = 0; i < 4; ++i) {
        if (roll(4) == 0) continue;
        model::ConfigService one;
        one.spec = service("s" + std::to_string(i));
        if (!keys.insert(one.spec.key.vip).second) continue;
        std::set<base::Endpoint> addresses;
        for (uint64_t k = 0; k < 5; ++k) {
            model::Backend b = backend("b" + std::to_string(k));
            if (roll(2) && addresses.insert(b.address).second) one.backends.push_back(std::move(b));
        }
        config.services.push_back(std::move(one));
    }
    return config;
}

Change Dice::change() {
    if (wide && roll(4) == 0) return wide_change();
    switch (roll(20)) {
        case 0:
        case 1:
            return control::PutService{service(service_name(*this)), match(*this)};
        case 2:
        case 3:
            return control::PatchService{
                service_name(*this), std::string(R"({"method": ")") + schedulers[roll(3)] + R"("})", {}};
        case 4:
            if (roll(3) == 0) return control::PutConfig{config(), {}, true};
            return control::DeleteService{service_name(*this), {}};
        case 5:
        case 6:
        case 7:
            return control::DeleteBackend{service_name(*this), backend_name(*this), {}};
        case 8:
        case 9:
        case 10:
        case 11:
            return control::PatchBackend{service_name(*this), backend_name(*this),
                                         roll(4) == 0
                                             ? std::string(R"({"admin": ")") + admins[roll(3)] + R"("})"
                                             : R"({"weight": )" + std::to_string(10 * roll(4)) + "}",
                                         match(*this)};
        default:
            return control::PutBackend{service_name(*this), backend(backend_name(*this)), match(*this)};
    }
}

// ---- what was promised

void Promised::took(const Change& change, Answer answer) {
    if (answer == Answer::refused) return;
    const bool done = answer == Answer::done;
    const auto become = [&](const std::string& object, const std::string& value) {
        std::set<std::string>& values = may_[object];
        if (values.empty()) values.insert("");
        if (done) values.clear();
        values.insert(value);
    };
    const auto patch = [&](const std::string& object, const std::string& body) {
        std::set<std::string>& values = may_[object];
        std::set<std::string> next = done ? std::set<std::string>() : values;
        for (const std::string& value : values) {
            if (!value.empty()) next.insert(patched(value, body));
        }
        values = next;
    };
    const auto drop_backends = [&](const std::string& service) {
        for (auto& [object, values] : may_) {
            if (object.starts_with(service + "/")) become(object, "");
        }
    };
    // It is drained, and at some time it is gone.
    const auto go_slowly = [&](const std::string& object) {
        going_.insert(object);
        if (object.find('/') == std::string::npos) return;
        std::set<std::string> next;
        for (const std::string& value : may_[object])
            if (!value.empty()) next.insert(with_admin(value, "drain"));
        may_[object] = next;
    };
    if (const auto* put = std::get_if<control::PutService>(&change)) {
        become(put->service.name, text(put->service));
    } else if (const auto* one = std::get_if<control::PutBackend>(&change)) {
        become(one->service + "/" + one->backend.name, text(one->backend));
        going_.erase(one->service + "/" + one->backend.name);
    } else if (const auto* p = std::get_if<control::PatchService>(&change)) {
        patch(p->service, p->body);
    } else if (const auto* of = std::get_if<control::PatchBackend>(&change)) {
        patch(of->service + "/" + of->backend, of->body);
        // A removal that is called off is forgotten: the next drain removes nothing.
        const std::string admin = value_in(of->body, "admin");
        if (done && (admin == "ready" || admin == "maint")) going_.erase(of->service + "/" + of->backend);
    } else if (const auto* d = std::get_if<control::DeleteService>(&change)) {
        if (d->drain > base::Nanos(0)) {
            go_slowly(d->service);
            std::vector<std::string> backends;
            for (const auto& [object, values] : may_)
                if (object.starts_with(d->service + "/") && !values.contains("")) backends.push_back(object);
            for (const std::string& backend : backends) go_slowly(backend);
            return;
        }
        become(d->service, "");
        drop_backends(d->service);
    } else if (const auto* out = std::get_if<control::DeleteBackend>(&change)) {
        if (out->drain > base::Nanos(0)) return go_slowly(out->service + "/" + out->backend);
        become(out->service + "/" + out->backend, "");
    } else if (const auto* all = std::get_if<control::PutConfig>(&change)) {
        std::map<std::string, std::string> whole;
        for (const auto& [object, values] : may_) whole[object] = "";
        for (const auto& [object, value] : texts(all->config)) whole[object] = value;
        for (const auto& [object, value] : whole) {
            become(object, value);
            const size_t slash = object.find('/');
            if (slash == std::string::npos) continue;
            // What leaves a service that is being removed goes on leaving. (That may have been called off.)
            const bool leaves =
                !value.empty() && going_.contains(object) && going_.contains(object.substr(0, slash));
            if (leaves) may_[object].insert(with_admin(value, "drain"));
            if (!leaves) going_.erase(object);
        }
    } else if (const auto* files = std::get_if<control::Declare>(&change)) {
        std::map<std::string, std::string> whole = texts(files->config);
        for (auto& [object, value] : whole) {
            // An operator's drain stays.
            const std::set<std::string>& was = may_[object];
            if (object.find('/') != std::string::npos && was.size() == 1 && !was.begin()->empty())
                value = with_admin(value, Words(*was.begin()).admin);
        }
        for (const auto& [object, values] : may_)
            if (object.starts_with("f")) whole.emplace(object, "");
        for (const auto& [object, value] : whole) become(object, value);
    } else if (const auto* taken = std::get_if<control::Adopt>(&change)) {
        // One of ours that the kernel would not let go is taken back as it is there.
        if (!foreign) taken_.insert(taken->name);
        for (const auto& [object, value] : texts(as_adopted(taken->name))) become(object, value);
        foreign = false;
    }
}

std::string Promised::compare(const model::Snapshot& now) {
    std::map<std::string, std::string> is;
    for (const auto& [object, values] : may_) is[object] = "";
    now.services.for_each([&](const std::string& name, const model::ServicePtr& service) {
        is[name] = text(service->spec);
        service->backends.for_each([&](const std::string& backend, const model::BackendPtr& entry) {
            is[name + "/" + backend] = text(entry->spec);
        });
    });
    std::string wrong;
    for (const auto& [object, value] : is) {
        const std::set<std::string>& values = may_[object];
        if (going_.contains(object) && value.empty()) continue;
        if (taken_.contains(object.substr(0, object.find('/')))) continue;
        if (values.contains(value) || (values.empty() && value.empty())) continue;
        wrong.append(object).append(" is \"").append(value).append("\" and may be");
        for (const std::string& one : values) wrong.append(" \"").append(one).append("\"");
        wrong += "\n";
    }
    may_.clear();
    taken_.clear();
    std::erase_if(going_,
                  [&](const std::string& object) { return !is.contains(object) || is[object].empty(); });
    for (const auto& [object, value] : is) {
        if (!value.empty()) may_[object] = {value};
    }
    return wrong;
}

}  // namespace gorb::faults
