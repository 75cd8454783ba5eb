// For tables at random: whatever is found, the plan's operations make it what is wanted, touch nothing
// foreign and take away nothing that is wanted on the way. The model beside it says entry by entry what has
// to be.
#include <gtest/gtest.h>

#include <cerrno>

#include "reconcile/records.h"
#include "unit/reconcile/random_tables.h"

namespace gorb::reconcile::plan_property_test {
namespace {

using ipvs::DestRecord;
using ipvs::Op;
using ipvs::ServiceKey;
using ipvs::ServiceRecord;

bool identical(const ServiceRecord& a, const ServiceRecord& b) {
    return a.same_settings(b) && a.stats == b.stats;
}
bool identical(const DestRecord& a, const DestRecord& b) {
    return a.same_settings(b) && a.stats == b.stats && a.active == b.active && a.inactive == b.inactive;
}

struct Model {
    const Table& wanted;
    const std::set<Entry>& leaving;

    bool wants(const Entry& e) const {
        const auto service = wanted.find(e.service);
        return service != wanted.end() && (!e.dest || service->second.dests.contains(*e.dest));
    }
    // Goes by itself or with its service.
    bool goes(const Entry& e) const {
        const Entry service{e.service, std::nullopt};
        if (!wants(service) && leaving.contains(service)) return true;
        return !wants(e) && leaving.contains(e);
    }
    bool foreign(const Entry& e) const { return !wants(e) && !goes(e); }
};

template <class Fn>
void for_each_entry(const Table& table, Fn fn) {
    for (const auto& [key, service] : table) {
        fn(Entry{key, std::nullopt});
        for (const auto& dest : service.dests) fn(Entry{key, dest.first});
    }
}

bool has(const Table& table, const Entry& e) {
    const auto service = table.find(e.service);
    return service != table.end() && (!e.dest || service->second.dests.contains(*e.dest));
}

std::string name(const Entry& e) {
    return (e.dest ? e.dest->text() + " of " : "") + e.service.text();
}

void expect_settings(const ServiceRecord& wanted, const ServiceRecord& now) {
    EXPECT_TRUE(wanted.same_settings(now)) << settings_text(wanted) << " / " << settings_text(now);
}

void expect_settings(const DestRecord& wanted, DestRecord now) {
    if (now.forwarding == IP_VS_CONN_F_LOCALNODE && wanted.forwarding <= IP_VS_CONN_F_DROUTE)
        now.forwarding = wanted.forwarding;
    EXPECT_TRUE(wanted.same_settings(now)) << settings_text(wanted) << " / " << settings_text(now);
}

void expect_wanted(const Table& wanted, const Table& now) {
    for (const auto& [key, service] : wanted) {
        ASSERT_TRUE(now.contains(key)) << key.text();
        const TableService& made = now.at(key);
        expect_settings(service.record, made.record);
        for (const auto& [address, dest] : service.dests) {
            ASSERT_TRUE(made.dests.contains(address)) << address.text();
            expect_settings(dest, made.dests.at(address));
        }
    }
}

void expect_foreign_untouched(const Model& model, const Table& found, const Table& now) {
    for_each_entry(found, [&](const Entry& e) {
        if (!model.foreign(e)) return;
        ASSERT_TRUE(has(now, e)) << name(e);
        const TableService& before = found.at(e.service);
        const TableService& after = now.at(e.service);
        EXPECT_TRUE(e.dest ? identical(before.dests.at(*e.dest), after.dests.at(*e.dest))
                           : identical(before.record, after.record))
            << name(e);
    });
}

// Nothing is there that was not found and is not wanted.
void expect_nothing_else(const Model& model, const Table& found, const Table& now) {
    for_each_entry(now, [&](const Entry& e) {
        EXPECT_TRUE(model.wants(e) || (has(found, e) && model.foreign(e))) << name(e);
    });
}

void expect_counts(const Model& model, const Table& found, const Plan& plan) {
    size_t ours = 0, removals = 0;
    for_each_entry(found, [&](const Entry& e) {
        ours += model.foreign(e) ? 0 : 1;
        removals += model.goes(e) ? 1 : 0;
    });
    EXPECT_EQ(plan.ours, ours);
    EXPECT_EQ(plan.removals, removals);
    std::vector<Entry> gone;
    for (const Entry& e : model.leaving) {
        if (!has(found, e)) gone.push_back(e);
    }
    EXPECT_EQ(plan.gone, gone);
}

int phase(Op::Kind kind) {
    switch (kind) {
        case Op::Kind::add_service:
            return 0;
        case Op::Kind::edit_service:
            return 1;
        case Op::Kind::add_dest:
        case Op::Kind::edit_dest:
            return 2;
        case Op::Kind::remove_dest:
            return 3;
        case Op::Kind::remove_service:
            return 4;
    }
    return -1;
}

void expect_op(const Model& model, const Op& op, const Table& found) {
    const Entry entry = entry_of(op);
    EXPECT_FALSE(model.foreign(entry)) << op.text();
    const bool adds = op.kind == Op::Kind::add_service || op.kind == Op::Kind::add_dest;
    const bool removes = op.kind == Op::Kind::remove_service || op.kind == Op::Kind::remove_dest;
    const Words words = words_of(op, found);
    EXPECT_EQ(words.before.empty(), adds);
    EXPECT_EQ(words.after.empty(), removes);
    EXPECT_EQ(model.goes(entry), removes);
    EXPECT_NE(words.before, words.after);
}

void one_table(uint64_t seed) {
    RandomTables random(seed);
    Table found = random.table(60, true);
    const Table wanted = [&] {
        Table table = random.table(60, false);
        random.resemble(table, found);
        return table;
    }();
    const std::set<Entry> leaving = random.leaving();
    const Model model{wanted, leaving};
    ipvs::MemoryDriver driver;
    random.fill(driver, found);
    found = *read_table(driver);

    const Plan made = plan(wanted, found, leaving);
    expect_counts(model, found, made);
    int before = 0;
    for (const Op& op : made.ops) {
        expect_op(model, op, found);
        EXPECT_LE(before, phase(op.kind));
        before = phase(op.kind);
        const auto answer = driver.apply({&op, 1}).front();
        ASSERT_TRUE(answer) << answer.error().sentence;
        const Table now = *read_table(driver);
        for_each_entry(found, [&](const Entry& e) {
            if (model.wants(e)) {
                EXPECT_TRUE(has(now, e)) << name(e) << " vanished at: " << op.text();
            }
        });
    }
    const Table now = *read_table(driver);
    expect_wanted(wanted, now);
    expect_foreign_untouched(model, found, now);
    expect_nothing_else(model, found, now);
    EXPECT_TRUE(plan(wanted, now, leaving).ops.empty());
}

TEST(PlanProperty, FromAnyTableToAnyWantedStateWithoutTouchingForeignEntries) {
    for (uint64_t seed = 1; seed <= 1500; ++seed) {
        one_table(seed);
        ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
}

// ---- refusals

class Churn {
  public:
    explicit Churn(uint64_t seed) : random_(seed) {
        random_.fill(driver_, random_.table(40, true));
        // What stands at first is somebody else's.
        foreign_ = *read_table(driver_);
        driver_.set_hook([this](const Op&, uint64_t) {
            constexpr int errors[] = {ENOMEM, EINVAL, EPERM, ENOBUFS};
            ++steps_;
            return refusing_ && random_.chance(30) ? errors[random_.below(4)] : 0;
        });
    }

    // A change of what is wanted, an edit by somebody else, and one pass of the plan, much of it refused.
    void turn() {
        change_wanted();
        refusing_ = false;
        interfere();
        refusing_ = true;
        pass();
    }

    void settle() {
        refusing_ = false;
        pass();
        const Table now = *read_table(driver_);
        const Plan left = plan(wanted_, now, leaving_);
        EXPECT_TRUE(left.ops.empty()) << left.ops.size() << ", first: " << left.ops.front().text();
        expect_wanted(wanted_, now);
        expect_foreign_untouched({wanted_, leaving_}, foreign_, now);
        expect_nothing_else({wanted_, leaving_}, foreign_, now);
        EXPECT_TRUE(leaving_.empty());
    }
    uint64_t steps() const { return steps_; }

  private:
    // As the daemon does it: what is wanted no more is leaving, what is wanted is leaving no more, and no key
    // is taken that somebody else has.
    void change_wanted() {
        Table next = random_.table(50, false);
        random_.resemble(next, wanted_);
        for (const auto& one : foreign_) next.erase(one.first);
        for_each_entry(wanted_, [&](const Entry& e) {
            if (!has(next, e)) leaving_.insert(e);
        });
        for_each_entry(next, [&](const Entry& e) { leaving_.erase(e); });
        wanted_ = std::move(next);
    }

    void interfere() {
        const Table now = *read_table(driver_);
        for_each_entry(now, [&](const Entry& e) {
            if (foreign_.contains(e.service) || !random_.chance(10)) return;
            if (!e.dest) {
                static_cast<void>(driver_.apply(
                    std::vector{random_.chance(30) ? Op::remove(e.service)
                                                   : Op::edit(random_.service(e.service, true))}));
            } else {
                static_cast<void>(driver_.apply(
                    std::vector{random_.chance(30) ? Op::remove(e.service, *e.dest)
                                                   : Op::edit(e.service, random_.dest(*e.dest, true))}));
            }
        });
    }

    void pass() {
        const Plan made = plan(wanted_, *read_table(driver_), leaving_);
        for (const Entry& gone : made.gone) leaving_.erase(gone);
        driver_.apply(made.ops);
        const Table now = *read_table(driver_);
        for (const Entry& gone : plan(wanted_, now, leaving_).gone) leaving_.erase(gone);
        expect_foreign_untouched({wanted_, leaving_}, foreign_, now);
    }

    RandomTables random_;
    ipvs::MemoryDriver driver_;
    Table wanted_, foreign_;
    std::set<Entry> leaving_;
    bool refusing_ = false;
    uint64_t steps_ = 0;
};

TEST(PlanProperty, WhatIsRefusedIsMadeGoodWhenTheRefusalsStop) {
    uint64_t steps = 0;
    for (uint64_t seed = 1; steps < 120'000; ++seed) {
        Churn churn(seed);
        for (int turn = 0; turn < 40; ++turn) {
            churn.turn();
            if (turn % 8 == 7) churn.settle();
            ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed << ", turn " << turn;
        }
        steps += churn.steps();
    }
}

}  // namespace
}  // namespace gorb::reconcile::plan_property_test
