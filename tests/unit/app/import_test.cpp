#include "app/import.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace gorb::app::import_test {
namespace {

model::Service service(const std::string& name, const std::string& vip) {
    model::Service s;
    s.name = name;
    s.key.vip = *base::Endpoint::parse(vip);
    return s;
}
model::Backend backend(const std::string& name, const std::string& address, uint32_t weight = 100) {
    model::Backend b;
    b.name = name;
    b.address = *base::Endpoint::parse(address);
    b.weight = weight;
    return b;
}
store::Leaving leaving(const std::string& vip, const std::string& address = "") {
    store::Leaving out{{model::Protocol::tcp, *base::Endpoint::parse(vip)}, {}};
    if (!address.empty()) out.backend = *base::Endpoint::parse(address);
    return out;
}

// Does what database.h says of a write, in memory.
class FakeDatabase : public store::Database {
  public:
    bool work() override { return false; }
    base::Result<store::Loaded> load() override { return rows; }
    void write(store::Write write, Done done) override {
        ++writes;
        if (!refusal.empty()) return done(base::fail(base::Errc::no_space, refusal));
        apply(write);
        done({});
    }
    void check_file(Done done) override { done({}); }
    bool lost() const override { return false; }
    void rewrite(store::Loaded all, Done done) override {
        rows = std::move(all);
        done({});
    }
    Status status() const override { return {"/x/gorb.db", "", 0, 0, 0, 0}; }

    store::Loaded rows;
    std::string refusal;
    int writes = 0;

  private:
    store::Loaded::ServiceRow* find(const std::string& name) {
        const auto at = std::ranges::find(rows.services, name, [](const auto& row) { return row.spec.name; });
        return at == rows.services.end() ? nullptr : &*at;
    }
    void apply(const store::Write& write) {
        rows.revision = std::max(rows.revision, write.revision);
        for (const store::BackendName& name : write.drop_backends) {
            auto& backends = find(name.service)->backends;
            ASSERT_EQ(std::erase_if(backends, [&](const auto& b) { return b.spec.name == name.backend; }),
                      1U);
        }
        for (const std::string& name : write.drop_services)
            ASSERT_EQ(std::erase_if(rows.services, [&](const auto& s) { return s.spec.name == name; }), 1U);
        for (const model::ServicePtr& put : write.put_services) {
            if (!find(put->spec.name)) rows.services.emplace_back();
            store::Loaded::ServiceRow* row =
                find(put->spec.name) ? find(put->spec.name) : &rows.services.back();
            row->spec = put->spec;
            row->revision = put->revision;
            row->origin = put->origin;
        }
        for (const auto& entry : write.put_backends) {
            auto& backends = find(entry.first)->backends;
            const model::BackendPtr& put = entry.second;
            std::erase_if(backends, [&](const auto& b) { return b.spec.name == put->spec.name; });
            backends.push_back({put->spec, put->revision, {}});
            std::ranges::sort(backends, {}, [](const auto& b) { return b.spec.name; });
        }
        std::ranges::sort(rows.services, {}, [](const auto& s) { return s.spec.name; });
        for (const store::Leaving& entry : write.leaving) rows.leaving.push_back(entry);
        for (const store::Leaving& entry : write.left) std::erase(rows.leaving, entry);
    }
};

model::Config config_of(const store::Loaded& rows) {
    model::Config out;
    for (const auto& row : rows.services) {
        out.services.push_back({row.spec, {}});
        for (const auto& b : row.backends) out.services.back().backends.push_back(b.spec);
    }
    return out;
}

const model::Config one{
    {{service("web", "10.0.0.1:80"), {backend("b1", "10.1.0.1:80"), backend("b2", "10.1.0.2:80")}}}};

TEST(Import, AnEmptyStoreTakesItInOneWrite) {
    FakeDatabase database;
    database.rows.revision = 41;
    ASSERT_TRUE(import_config(database, one, false));
    EXPECT_EQ(database.writes, 1);
    EXPECT_EQ(config_of(database.rows), one);
    EXPECT_EQ(database.rows.revision, 42U);
    EXPECT_EQ(database.rows.services[0].revision, 42U);
    EXPECT_TRUE(database.rows.leaving.empty());
}

TEST(Import, AStoreWithServicesIsRefusedUnlessForced) {
    FakeDatabase database;
    ASSERT_TRUE(import_config(database, one, false));
    const model::Config other{{{service("dns", "10.0.0.9:53"), {backend("b1", "10.1.0.1:53")}}}};
    const auto refused = import_config(database, other, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, base::Errc::exists);
    EXPECT_NE(refused.error().sentence.find("--force"), std::string::npos);
    EXPECT_EQ(config_of(database.rows), one);
    ASSERT_TRUE(import_config(database, other, true));
    EXPECT_EQ(config_of(database.rows), other);
}

TEST(Import, WhatIsReplacedIsLeaving) {
    FakeDatabase database;
    ASSERT_TRUE(import_config(database, one, false));
    model::Config next{
        {{service("web", "10.0.0.1:80"), {backend("b1", "10.1.0.9:80"), backend("b3", "10.1.0.3:80")}}}};
    ASSERT_TRUE(import_config(database, next, true));
    EXPECT_EQ(database.rows.leaving,
              (std::vector{leaving("10.0.0.1:80", "10.1.0.1:80"), leaving("10.0.0.1:80", "10.1.0.2:80")}));
    // Another address of the service: all that was at the old one goes, what comes back does not.
    next.services[0].spec.key.vip = *base::Endpoint::parse("10.0.0.2:80");
    database.rows.leaving = {leaving("10.0.0.2:80")};
    ASSERT_TRUE(import_config(database, next, true));
    EXPECT_EQ(database.rows.leaving,
              (std::vector{leaving("10.0.0.1:80"), leaving("10.0.0.1:80", "10.1.0.3:80"),
                           leaving("10.0.0.1:80", "10.1.0.9:80")}));
}

TEST(Import, WhatIsKnownOfHealthDoesNotGoWithABackendToAnotherAddress) {
    FakeDatabase database;
    ASSERT_TRUE(import_config(database, one, false));
    EXPECT_TRUE(import_write(database.rows, one).health.empty());
    model::Config next = one;
    next.services[0].backends[0].address = *base::Endpoint::parse("10.1.0.9:80");
    const std::vector<std::pair<store::BackendName, store::Health>> nothing_of_it{
        {{"web", next.services[0].backends[0].name}, {}}};
    EXPECT_EQ(import_write(database.rows, next).health, nothing_of_it);
}

TEST(Import, AnAddressThatGoesToAnotherServiceIsNotLeaving) {
    FakeDatabase database;
    ASSERT_TRUE(import_config(database, one, false));
    model::Config renamed = one;
    renamed.services[0].spec.name = "shop";
    ASSERT_TRUE(import_config(database, renamed, true));
    EXPECT_EQ(config_of(database.rows), renamed);
    EXPECT_TRUE(database.rows.leaving.empty());
}

TEST(Import, WhatIsThereAlreadyIsNotWrittenAgain) {
    FakeDatabase database;
    ASSERT_TRUE(import_config(database, one, false));
    ASSERT_TRUE(import_config(database, one, true));
    EXPECT_EQ(database.writes, 1);
    // A service that came from a declarative file belongs to the API afterwards.
    database.rows.services[0].origin = model::Origin::file;
    ASSERT_TRUE(import_config(database, one, true));
    EXPECT_EQ(database.rows.services[0].origin, model::Origin::api);
}

// web with b1, which is to go within an hour.
store::Loaded leaving_web(bool service_too) {
    store::Loaded rows;
    rows.revision = 7;
    store::Loaded::BackendRow b1{backend("b1", "10.1.0.1:80"), 6, {store::Health::State::up, 5, 0}, 1234};
    b1.spec.admin = model::Admin::drain;
    b1.spec.drain_then = model::DrainThen::remove;
    b1.spec.drain_timeout = model::drain_time(std::chrono::hours(1));
    rows.services.push_back({service("web", "10.0.0.1:80"), 7, model::Origin::api, {b1}});
    rows.services[0].spec.deleting = service_too;
    return rows;
}

TEST(Import, WhatGetConfigGivesOfAServiceBeingRemovedChangesNothing) {
    const store::Loaded rows = leaving_web(true);
    model::Config document = config_of(rows);
    document.services[0].spec.deleting = false;  // documents do not say it
    EXPECT_TRUE(import_write(rows, document).empty());
    // One that has it as it was before is to have it again.
    document.services[0].backends[0] = backend("b1", "10.1.0.1:80");
    const store::Write had_again = import_write(rows, document);
    ASSERT_EQ(had_again.put_services.size(), 1U);
    EXPECT_FALSE(had_again.put_services[0]->spec.deleting);
    document.services[0].backends.clear();
    ASSERT_EQ(import_write(rows, document).put_services.size(), 1U);
}

TEST(Import, TheTimeOfADrainGoesOn) {
    const store::Loaded rows = leaving_web(false);
    model::Config document = config_of(rows);
    document.services[0].backends[0].weight = 7;
    store::Write write = import_write(rows, document);
    ASSERT_EQ(write.put_backends.size(), 1U);
    EXPECT_EQ(write.put_backends[0].second->drain_since, 1234);
    document.services[0].backends[0].drain_timeout = model::drain_time(std::chrono::hours(2));
    write = import_write(rows, document);
    ASSERT_EQ(write.put_backends.size(), 1U);
    EXPECT_EQ(write.put_backends[0].second->drain_since, 0);  // it begins anew, at the start
}

TEST(Import, WhatIsKnownOfHealthDoesNotGoWithABackendThatIsAskedOtherwise) {
    const store::Loaded rows = leaving_web(false);
    const std::vector<std::pair<store::BackendName, store::Health>> nothing_of_it{{{"web", "b1"}, {}}};
    model::Config document = config_of(rows);
    document.services[0].backends[0].weight = 7;
    EXPECT_TRUE(import_write(rows, document).health.empty());
    document.services[0].backends[0].admin = model::Admin::maint;
    EXPECT_EQ(import_write(rows, document).health, nothing_of_it);
    document = config_of(rows);
    model::PulseSpec http;
    http.type = "http";
    document.services[0].backends[0].pulses = model::PulseList({http});
    EXPECT_EQ(import_write(rows, document).health, nothing_of_it);
}

// What has left is noted, and no ETag is another for it.
TEST(Import, OfTheSameObjectsItIsNoNewRevision) {
    FakeDatabase database;
    ASSERT_TRUE(import_config(database, one, false));
    const uint64_t before = database.rows.revision;
    database.rows.leaving = {leaving("10.0.0.1:80")};
    ASSERT_TRUE(import_config(database, one, true));
    EXPECT_TRUE(database.rows.leaving.empty());
    EXPECT_EQ(database.rows.revision, before);
}

TEST(Import, ARefusedWriteIsTheAnswer) {
    FakeDatabase database;
    database.refusal = "the disk is full";
    const auto refused = import_config(database, one, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().sentence, "the disk is full");
}

model::Config random_config(std::mt19937_64& random) {
    model::Config out;
    for (int i = 0; i < 4; ++i) {
        if (random() % 3 == 0) continue;
        const std::string vip = "10.0.0." + std::to_string(i * 2 + static_cast<int>(random() % 2)) + ":80";
        model::ConfigService s{service("s" + std::to_string(i), vip), {}};
        for (int j = 0; j < 4; ++j) {
            if (random() % 3 == 0) continue;
            const std::string address =
                "10.1.0." + std::to_string(j * 2 + static_cast<int>(random() % 2)) + ":80";
            s.backends.push_back(backend("b" + std::to_string(j), address, random() % 2 ? 100 : 7));
        }
        out.services.push_back(std::move(s));
    }
    return out;
}

std::set<store::Leaving> entries(const model::Config& config) {
    std::set<store::Leaving> out;
    for (const auto& s : config.services) {
        out.insert({s.spec.key, {}});
        for (const auto& b : s.backends) out.insert({s.spec.key, b.address});
    }
    return out;
}

TEST(Import, FromAnyStoreToAnyConfigEveryEntryIsWantedOrLeaving) {
    std::mt19937_64 random(6);
    FakeDatabase database;
    std::set<store::Leaving> ever;
    for (int i = 0; i < 3'000; ++i) {
        const model::Config wanted = random_config(random);
        ASSERT_TRUE(import_config(database, wanted, true));
        ASSERT_EQ(config_of(database.rows), wanted) << "seed 6, step " << i;
        const std::set<store::Leaving> now = entries(wanted);
        ever.insert(now.begin(), now.end());
        std::set<store::Leaving> all(database.rows.leaving.begin(), database.rows.leaving.end());
        for (const store::Leaving& entry : now)
            ASSERT_TRUE(all.insert(entry).second) << "wanted and leaving, seed 6, step " << i;
        ASSERT_EQ(all, ever) << "seed 6, step " << i;
        if (random() % 4 == 0) {  // the kernel has let them go
            database.rows.leaving.clear();
            ever = now;
        }
    }
}

}  // namespace
}  // namespace gorb::app::import_test
