#include "faults/world.h"

#include <cerrno>
#include <cstdlib>
#include <future>

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
    operations += ops.size();
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

// ---- an interface

namespace {

class Interface final : public ipvs::VipTable {
  public:
    explicit Interface(std::shared_ptr<Addresses> addresses) : addresses_(std::move(addresses)) {}
    base::Result<std::set<base::Ip>> addresses() override {
        std::set<base::Ip> all = addresses_->hosts;
        all.insert(addresses_->added.begin(), addresses_->added.end());
        return all;
    }
    base::Result<bool> add(const base::Ip& address, const std::set<base::Ip>& there) override {
        if (random_() % 100 < addresses_->failing)
            return base::fail(base::Errc::unavailable, "the interface is busy");
        if (there.contains(address)) return false;
        return addresses_->added.insert(address).second;
    }
    base::Result<std::vector<base::Ip>> move_here(const std::vector<base::Ip>&) override { return {}; }
    base::Status remove(const base::Ip& address) override {
        addresses_->added.erase(address);
        return {};
    }

  private:
    std::shared_ptr<Addresses> addresses_;
    std::mt19937_64 random_{8};
};

}  // namespace

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
    std::unique_ptr<ipvs::VipTable> vips;
    if (makings.vips) vips = std::make_unique<Interface>(makings.vips);
    control = std::make_unique<control::Control>(std::move(shared), std::move(vips), registry(),
                                                 makings.options, std::move(database));
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

ipvs::ServiceKey foreign_key() {
    return ipvs::ServiceKey::of(6, *base::Endpoint::parse("10.0.0.6:80"));
}

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

std::string vips_differ(const Addresses& addresses, const control::Control& control) {
    std::set<base::Ip> wanted;
    control.snapshot()->services.for_each([&](const std::string&, const model::ServicePtr& service) {
        if (!addresses.hosts.contains(service->spec.key.vip.ip)) wanted.insert(service->spec.key.vip.ip);
    });
    std::string wrong;
    for (const base::Ip& one : wanted)
        if (!addresses.added.contains(one)) wrong += "wanted and not there: " + one.text() + "\n";
    for (const base::Ip& one : addresses.added)
        if (!wanted.contains(one)) wrong += "there and not wanted: " + one.text() + "\n";
    return wrong;
}

std::string table_differs(ipvs::MemoryDriver& table, const control::Control& control,
                          const std::set<ipvs::ServiceKey>& strangers_in, bool foreign) {
    const auto line = [](const ipvs::ServiceRecord& s) { return s.key.text() + " " + s.scheduler; };
    const auto dest_line = [](const ipvs::ServiceKey& key, const ipvs::DestRecord& d) {
        return key.text() + " " + d.address.text() + " " + std::to_string(d.weight);
    };
    std::set<std::string> wanted, has;
    for (const auto& [key, service] : control.wanted(*control.snapshot())) {
        wanted.insert(line(service.record));
        for (const auto& [address, dest] : service.dests) wanted.insert(dest_line(key, dest));
    }
    if (foreign)
        wanted.insert(
            {"10.0.0.6:80/tcp sh", "10.0.0.6:80/tcp 10.1.0.1:80 77", "10.0.0.6:80/tcp 10.1.0.77:80 77"});
    const auto services = table.services();
    if (!services) return "the table can not be read";
    for (const ipvs::ServiceRecord& service : *services) {
        has.insert(line(service));
        const auto dests = table.dests(service.key);
        if (!dests) return service.key.text() + " went while this looked: " + dests.error().sentence;
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
