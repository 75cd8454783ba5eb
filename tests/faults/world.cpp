#include "faults/world.h"

#include <cerrno>
#include <cstdlib>
#include <future>
#include <sstream>

#include "base/log.h"
#include "reconcile/records.h"

namespace gorb::faults {

namespace fs = std::filesystem;
using control::Change;
using ipvs::Op;

size_t rounds(size_t few, size_t many) {
    return getenv("GORB_FAULTS_LONG") ? many : few;
}

const plugin::Registry& registry() {
    static const auto* loaded = [] {
        // Nothing: here is much to complain of.
        base::set_log_level(getenv("GORB_FAULTS_LOG") ? base::LogLevel::debug : base::LogLevel{});
        auto* made = new plugin::Registry;
        made->load({GORB_PLUGINS});
        return made;
    }();
    return *loaded;
}

Folder::Folder() {
    std::error_code error;
    const auto room = fs::space("/dev/shm", error);
    const bool good = !error && room.available > (512U << 20);
    std::string name = ((good ? fs::path("/dev/shm") : fs::temp_directory_path()) / "gorb-faults-XXXXXX");
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
}

Folder::~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

base::Status SharedTable::readable() {
    if (failing_reads == 0 || random_() % 100 >= failing_reads) return {};
    return base::fail(base::Errc::unavailable, "the kernel's table can not be read: interrupted", EINTR);
}

base::Result<std::vector<ipvs::ServiceRecord>> SharedTable::services() {
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    return table_->services();
}

base::Result<std::optional<ipvs::ServiceRecord>> SharedTable::service(const ipvs::ServiceKey& key) {
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    return table_->service(key);
}

base::Result<std::vector<ipvs::DestRecord>> SharedTable::dests(const ipvs::ServiceKey& key) {
    if (auto ok = readable(); !ok) return base::fail(ok.error());
    return table_->dests(key);
}

std::vector<base::Status> SharedTable::apply(std::span<const Op> ops) {
    ++calls;
    std::vector<base::Status> results;
    results.reserve(ops.size());
    for (const Op& op : ops) {
        const bool removes = op.kind == Op::Kind::remove_service || op.kind == Op::Kind::remove_dest;
        if (removes && keep_removals) removals.push_back(op);
        if (crash_->alive()) {
            results.push_back(table_->apply({&op, 1}).front());
        } else {
            results.push_back(base::fail(base::Errc::unavailable, "the daemon has ended"));
        }
    }
    return results;
}

void CrashingDatabase::write(store::Write write, Done done) {
    const auto ended = [] { return base::fail(base::Errc::unavailable, "the daemon has ended"); };
    if (!crash_->alive()) {
        done(ended());
        return;
    }
    real_->write(std::move(write), [crash = crash_, done = std::move(done), ended](base::Status status) {
        done(crash->alive() ? std::move(status) : base::Status(ended()));
    });
}

// ---- chance

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
           admins[static_cast<size_t>(backend.admin)];
}

// A patch of Dice in the words of text().
std::string patched(const std::string& was, const std::string& body) {
    std::istringstream words(was);
    std::string address, middle, last;
    words >> address >> middle >> last;
    const auto value = [&](const std::string& member) {
        const size_t at = body.find("\"" + member + "\": ");
        if (at == std::string::npos) return std::string();
        std::string rest = body.substr(at + member.size() + 4);
        rest = rest.substr(0, rest.find_first_of(",}"));
        std::erase(rest, '"');
        return rest;
    };
    if (const std::string method = value("method"); !method.empty()) middle = method;
    if (const std::string weight = value("weight"); !weight.empty()) middle = weight;
    if (const std::string admin = value("admin"); !admin.empty()) last = admin;
    return address + " " + middle + (last.empty() ? "" : " " + last);
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
    return b;
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
    if (const auto* put = std::get_if<control::PutService>(&change)) {
        become(put->service.name, text(put->service));
    } else if (const auto* one = std::get_if<control::PutBackend>(&change)) {
        become(one->service + "/" + one->backend.name, text(one->backend));
    } else if (const auto* p = std::get_if<control::PatchService>(&change)) {
        patch(p->service, p->body);
    } else if (const auto* of = std::get_if<control::PatchBackend>(&change)) {
        patch(of->service + "/" + of->backend, of->body);
    } else if (const auto* d = std::get_if<control::DeleteService>(&change)) {
        become(d->service, "");
        drop_backends(d->service);
    } else if (const auto* out = std::get_if<control::DeleteBackend>(&change)) {
        become(out->service + "/" + out->backend, "");
    } else if (const auto* all = std::get_if<control::PutConfig>(&change)) {
        std::map<std::string, std::string> whole;
        for (const auto& [object, values] : may_) whole[object] = "";
        for (const model::ConfigService& service : all->config.services) {
            whole[service.spec.name] = text(service.spec);
            for (const model::Backend& backend : service.backends)
                whole[service.spec.name + "/" + backend.name] = text(backend);
        }
        for (const auto& [object, value] : whole) become(object, value);
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
        if (values.contains(value) || (values.empty() && value.empty())) continue;
        wrong.append(object).append(" is \"").append(value).append("\" and may be");
        for (const std::string& one : values) wrong.append(" \"").append(one).append("\"");
        wrong += "\n";
    }
    may_.clear();
    for (const auto& [object, value] : is) {
        if (!value.empty()) may_[object] = {value};
    }
    return wrong;
}

// ---- a daemon

World::World(const Makings& makings) : crash(makings.crash) {
    auto shared = std::make_unique<SharedTable>(makings.table, crash);
    driver = shared.get();
    std::unique_ptr<store::Database> database;
    if (!makings.store.empty()) {
        auto opened = store::open_database(makings.store, makings.open);
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().sentence);
        if (opened) database = std::make_unique<CrashingDatabase>(std::move(*opened), crash);
    }
    control = std::make_unique<control::Control>(std::move(shared), nullptr, registry(), makings.options,
                                                 std::move(database));
}

template <class T, class Ask>
T World::answer(Ask&& ask) {
    auto promise = std::make_shared<std::promise<T>>();
    auto future = promise->get_future();
    ask([promise](base::Result<T> result) { promise->set_value(result ? std::move(*result) : T{}); });
    if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
        ADD_FAILURE() << "no answer";
        return {};
    }
    return future.get();
}

control::SyncCounts World::reconcile() {
    return answer<control::SyncCounts>([&](auto done) { control->reconcile(done); });
}

control::Ownership World::ownership() {
    return answer<control::Ownership>([&](auto done) { control->ownership(done); });
}

void World::submit(std::vector<Change> changes, Promised& promised) {
    using Answers = std::vector<Promised::Answer>;
    struct Open {
        Answers answers;  // not always in the order of the changes
        size_t left;
        std::promise<void> all;
    };
    if (changes.empty()) return;
    auto open = std::make_shared<Open>(Open{Answers(changes.size()), changes.size(), {}});
    auto all = open->all.get_future();
    for (size_t i = 0; i < changes.size(); ++i) {
        control->submit(changes[i], [open, i, over = crash](const auto& result) {
            open->answers[i] = over->dead ? Promised::Answer::none
                               : result   ? Promised::Answer::done
                                          : Promised::Answer::refused;
            if (--open->left == 0) open->all.set_value();
        });
    }
    ASSERT_EQ(all.wait_for(std::chrono::seconds(60)), std::future_status::ready) << "no answer";
    for (size_t i = 0; i < changes.size(); ++i) promised.took(changes[i], open->answers[i]);
}

// ---- tables

namespace {

ipvs::ServiceKey foreign_key() {
    return ipvs::ServiceKey::of(6, *base::Endpoint::parse("10.0.0.6:80"));
}

}  // namespace

base::Endpoint stranger() {
    return *base::Endpoint::parse("10.9.9.9:99");
}

void add_foreign(ipvs::MemoryDriver& table) {
    ipvs::ServiceRecord service;
    service.key = foreign_key();
    service.scheduler = "sh";
    service.netmask = 32;
    std::vector<Op> ops{Op::add(service)};
    for (const char* address : {"10.1.0.1:80", "10.1.0.77:80"}) {
        ipvs::DestRecord dest;
        dest.address = *base::Endpoint::parse(address);
        dest.weight = 77;
        ops.push_back(Op::add(service.key, dest));
    }
    for (const base::Status& status : table.apply(ops)) EXPECT_TRUE(status);
}

std::string leaving(World& world) {
    const reconcile::Table wanted = world.control->wanted(*world.control->snapshot());
    std::string text;
    for (const store::Leaving& entry : world.ownership().leaving) {
        const auto service = wanted.find(reconcile::kernel_key(entry.service));
        const bool again =
            service != wanted.end() && (!entry.backend || service->second.dests.contains(*entry.backend));
        if (again) continue;
        text += entry.service.text() + (entry.backend ? " " + entry.backend->text() : "") + "\n";
    }
    return text;
}

std::string table_differs(ipvs::MemoryDriver& table, const control::Control& control,
                          const std::set<ipvs::ServiceKey>& strangers_in) {
    const auto line = [](const ipvs::ServiceRecord& s) { return s.key.text() + " " + s.scheduler; };
    const auto dest_line = [](const ipvs::ServiceKey& key, const ipvs::DestRecord& d) {
        return key.text() + " " + d.address.text() + " " + std::to_string(d.weight);
    };
    std::set<std::string> wanted, has;
    for (const auto& [key, service] : control.wanted(*control.snapshot())) {
        wanted.insert(line(service.record));
        for (const auto& [address, dest] : service.dests) wanted.insert(dest_line(key, dest));
    }
    wanted.insert(
        {"10.0.0.6:80/tcp sh", "10.0.0.6:80/tcp 10.1.0.1:80 77", "10.0.0.6:80/tcp 10.1.0.77:80 77"});
    const auto services = table.services();
    if (!services) return "the table can not be read";
    for (const ipvs::ServiceRecord& service : *services) {
        has.insert(line(service));
        const auto dests = table.dests(service.key);
        for (const ipvs::DestRecord& dest : *dests) {
            if (dest.address == stranger() && strangers_in.contains(service.key)) continue;
            has.insert(dest_line(service.key, dest));
        }
    }
    std::string wrong;
    for (const std::string& one : wanted) {
        if (!has.contains(one)) wrong += "wanted and not there: " + one + "\n";
    }
    for (const std::string& one : has) {
        if (!wanted.contains(one)) wrong += "there and not wanted: " + one + "\n";
    }
    return wrong;
}

}  // namespace gorb::faults
