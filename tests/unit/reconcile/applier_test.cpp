#include "reconcile/applier.h"

#include <gtest/gtest.h>
#include <linux/ip_vs.h>

#include <algorithm>
#include <cerrno>

#include "ipvs/memory_driver.h"
#include "reconcile/records.h"

namespace gorb::reconcile::applier_test {
namespace {

using ipvs::Op;

struct ApplierTest : testing::Test {
    base::ManualClock clock;
    ipvs::MemoryDriver driver;
    Applier applier{driver, clock};

    static ipvs::ServiceRecord web(const std::string& vip = "10.0.0.1:80") {
        model::Service s;
        s.key.vip = *base::Endpoint::parse(vip);
        return service_record(s);
    }
    static ipvs::DestRecord dest(const std::string& address, uint32_t weight = 100) {
        model::Backend b;
        b.address = *base::Endpoint::parse(address);
        return dest_record(b, weight);
    }
    static Op add(const ipvs::ServiceRecord& s, const ipvs::DestRecord& d) {
        return Op{Op::Kind::add_dest, s, d};
    }
    static Op edit(const ipvs::ServiceRecord& s, const ipvs::DestRecord& d) {
        return Op{Op::Kind::edit_dest, s, d};
    }
    using Ops = std::vector<Op>;
    static Transaction made(Ops make, Ops remove = {}) {
        Transaction t;
        t.make = std::move(make);
        t.remove = std::move(remove);
        return t;
    }
    static Transaction adopting(Ops make, std::optional<uint32_t> limit = {}) {
        Transaction t = made(std::move(make));
        t.exists = Transaction::Exists::adopt;
        t.keep_weight_up_to = limit;
        return t;
    }
    static Transaction refusing(Ops make) {
        Transaction t = made(std::move(make));
        t.exists = Transaction::Exists::refuse;
        return t;
    }
    base::Result<Applied> apply(const Transaction& t) { return applier.apply({&t, 1}).front(); }
    std::vector<ipvs::DestRecord> dests(const ipvs::ServiceRecord& s) { return *driver.dests(s.key); }
};

TEST_F(ApplierTest, ARefusedTransactionLeavesNothingBehind) {
    driver.fail_op(2, ENOMEM);
    auto refused =
        apply(made({Op::add(web()), add(web(), dest("10.1.0.1:80")), add(web(), dest("10.1.0.2:80"))}));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(driver.services()->empty());
}

TEST_F(ApplierTest, RemovalsWaitForEverythingToBeMade) {
    ASSERT_TRUE(apply(made({Op::add(web())})));
    driver.fail_op(1, ENOMEM);
    EXPECT_FALSE(apply(made({Op::add(web("10.0.0.2:80"))}, {Op::remove(web().key)})));
    EXPECT_TRUE(*driver.service(web().key));
}

TEST_F(ApplierTest, AnAdoptedServiceIsWrittenWhole) {
    auto found = web();
    found.scheduler = "rr";
    found.flags = IP_VS_SVC_F_ONEPACKET;
    found.key.protocol = 17;
    auto wanted = web();
    wanted.key.protocol = 17;
    ASSERT_TRUE(driver.apply(std::vector{Op::add(found)}).front());
    ASSERT_TRUE(apply(adopting({Op::add(wanted)})));
    auto now = **driver.service(wanted.key);
    EXPECT_EQ(now.scheduler, "wrr");
    EXPECT_EQ(now.flags, 0U);
}

TEST_F(ApplierTest, ARefusedTransactionGivesAnAdoptedEntryItsSettingsBack) {
    auto found = web();
    found.scheduler = "rr";
    ASSERT_TRUE(driver.apply(std::vector{Op::add(found)}).front());
    // 1: add refused as existing, 2: the destination, 3: the edit
    driver.set_hook([](const Op& op, uint64_t) { return op.kind == Op::Kind::add_dest ? ENOMEM : 0; });
    EXPECT_FALSE(apply(made({Op::add(web()), add(web(), dest("10.1.0.1:80"))})));
    EXPECT_EQ((**driver.service(found.key)).scheduler, "rr");
}

TEST_F(ApplierTest, AnAdoptedDestinationKeepsItsWeightUpToTheLimit) {
    ASSERT_TRUE(driver
                    .apply(std::vector{Op::add(web()), Op::add(web().key, dest("10.1.0.1:80", 300)),
                                       Op::add(web().key, dest("10.1.0.2:80", 30))})
                    .front());
    auto one = apply(adopting({add(web(), dest("10.1.0.1:80", 0))}, 100));
    auto two = apply(adopting({add(web(), dest("10.1.0.2:80", 0))}, 100));
    ASSERT_TRUE(one && two);
    EXPECT_EQ(one->dests.at(0).weight, 100U);
    EXPECT_EQ(two->dests.at(0).weight, 30U);
}

TEST_F(ApplierTest, AnEditPutsBackWhatSomebodyRemoved) {
    ASSERT_TRUE(apply(made({Op::add(web()), add(web(), dest("10.1.0.1:80"))})));
    ASSERT_TRUE(driver.apply(std::vector{Op::remove(web().key, dest("10.1.0.1:80").address)}).front());
    auto put_back = apply(made({edit(web(), dest("10.1.0.1:80", 7))}));
    ASSERT_TRUE(put_back);
    EXPECT_FALSE(put_back->service_was_missing);
    EXPECT_EQ(dests(web()).at(0).weight, 7U);

    ASSERT_TRUE(driver.flush());
    put_back = apply(made({edit(web(), dest("10.1.0.1:80", 9))}));
    ASSERT_TRUE(put_back);
    EXPECT_TRUE(put_back->service_was_missing);
    EXPECT_EQ(dests(web()).at(0).weight, 9U);
}

TEST_F(ApplierTest, RemovingWhatIsGoneAlreadySucceeds) {
    EXPECT_TRUE(apply(made({}, {Op::remove(web().key)})));
}

TEST_F(ApplierTest, TransactionsOfOneBatchDoNotSufferFromEachOther) {
    std::vector<Transaction> batch(3);
    batch[0].make = {Op::add(web("10.0.0.1:80"))};
    auto unknown = web("10.0.0.2:80");
    unknown.scheduler = "twos";
    batch[1].make = {Op::add(unknown)};
    batch[2].make = {Op::add(web("10.0.0.3:80"))};
    auto answers = applier.apply(batch);
    EXPECT_TRUE(answers[0]);
    ASSERT_FALSE(answers[1]);
    EXPECT_EQ(answers[1].error().code, base::Errc::unsupported);
    EXPECT_NE(answers[1].error().sentence.find("twos"), std::string::npos);
    EXPECT_TRUE(answers[2]);
    EXPECT_EQ(driver.services()->size(), 2U);
}

TEST_F(ApplierTest, WhatIsForeignIsInTheWayAndStaysAsItIs) {
    auto found = web();
    found.scheduler = "rr";
    ASSERT_TRUE(driver.apply(Ops{Op::add(found), Op::add(web().key, dest("10.1.0.1:80", 30))}).back());
    const auto service = apply(refusing({Op::add(web())}));
    ASSERT_FALSE(service);
    EXPECT_EQ(service.error().code, base::Errc::exists);
    EXPECT_NE(service.error().sentence.find("10.0.0.1:80/tcp"), std::string::npos);
    EXPECT_NE(service.error().sentence.find("adopt"), std::string::npos);
    const auto backend = apply(refusing({add(web(), dest("10.1.0.1:80", 5))}));
    ASSERT_FALSE(backend);
    EXPECT_NE(backend.error().sentence.find("10.1.0.1:80"), std::string::npos);
    EXPECT_EQ((**driver.service(web().key)).scheduler, "rr");
    EXPECT_EQ(dests(web()).at(0).weight, 30U);
}

TEST_F(ApplierTest, WhatIsOursBecomesWhatIsWanted) {
    ASSERT_TRUE(driver.apply(Ops{Op::add(web()), Op::add(web().key, dest("10.1.0.1:80", 30))}).back());
    ASSERT_TRUE(apply(made({Op::add(web()), add(web(), dest("10.1.0.1:80", 5))})));
    EXPECT_EQ(dests(web()).at(0).weight, 5U);
}

// The kernel says that it is there, and a moment later it is not.
TEST_F(ApplierTest, WhatGoesWhileItIsTakenOverIsMade) {
    const auto service = web();
    driver.apply(Ops{Op::add(service)});
    driver.fail_op(driver.ops(), EEXIST);
    Ops ops{Op::add(service.key, dest("10.1.0.1:80", 5))};
    const auto done = applier.apply_singles(ops, [](size_t) { return web(); });
    ASSERT_TRUE(done.statuses[0]);
    EXPECT_EQ(ops[0].dest.weight, 5U);
    ASSERT_EQ(dests(service).size(), 1U);

    // And is undone like anything that was made.
    const auto other = web("10.0.0.2:80");
    driver.fail_op(driver.ops(), EEXIST);
    driver.fail_op(driver.ops() + 1, EEXIST);
    driver.fail_op(driver.ops() + 2, ENOMEM);
    ASSERT_FALSE(apply(
        made({Op::add(other), add(service, dest("10.1.0.2:80")), edit(service, dest("10.1.0.1:80", 6))})));
    EXPECT_EQ(driver.services()->size(), 1U);
    EXPECT_EQ(dests(service).size(), 1U);
}

// Somebody removed the service: who puts it back and is refused takes nothing from who comes after.
TEST_F(ApplierTest, AServiceThatIsPutBackStaysForTheNextTransaction) {
    const auto service = web();
    const std::vector<Transaction> both{made({add(service, dest("10.1.0.1:80"))}),
                                        made({add(service, dest("10.1.0.2:80"))})};
    // As the kernel has it: no service comes before the values of a destination.
    driver.set_hook([&](const Op& op, uint64_t) {
        const bool there = driver.service(op.service.key)->has_value();
        const bool bad = op.kind == Op::Kind::add_dest && op.dest.address.ip.bytes[3] == 1;
        return there && bad ? EINVAL : 0;
    });
    const auto applied = applier.apply(both);
    driver.set_hook({});
    EXPECT_FALSE(applied[0]);
    ASSERT_TRUE(applied[1]);
    ASSERT_TRUE(driver.service(service.key)->has_value());
    EXPECT_EQ(dests(service).size(), 1U);
}

TEST(Records, PersistenceReachesTheRecord) {
    model::Service s;
    s.key.vip = *base::Endpoint::parse("10.0.0.1:80");
    s.persistence_s = 300;
    s.netmask = 24;
    const auto record = service_record(s);
    EXPECT_TRUE(record.flags & IP_VS_SVC_F_PERSISTENT);
    EXPECT_EQ(record.timeout_s, 300U);
    EXPECT_EQ(record.netmask, 24);
}

// Of single operations each stands for itself, whatever somebody else did to the table in the meantime.
TEST_F(ApplierTest, SingleOperationsMakeGoodWhatSomebodyElseDid) {
    const auto stays = web("10.0.0.1:80"), gone = web("10.0.0.2:80");
    driver.apply(Ops{Op::add(stays), Op::add(stays.key, dest("10.1.0.1:80")),
                     Op::add(stays.key, dest("10.1.0.2:80", 3))});
    Ops ops{Op::edit(stays.key, dest("10.1.0.1:80", 5)), Op::add(stays.key, dest("10.1.0.2:80", 6)),
            Op::edit(stays.key, dest("10.1.0.3:80", 7)), Op::remove(stays.key, dest("10.1.0.9:80").address),
            Op::edit(gone.key, dest("10.1.0.1:80", 8))};
    std::vector<size_t> asked;
    const auto done = applier.apply_singles(ops, [&](size_t i) {
        asked.push_back(i);
        return i == 4 ? gone : stays;
    });
    ASSERT_EQ(done.statuses.size(), ops.size());
    for (const base::Status& status : done.statuses) EXPECT_TRUE(status);
    EXPECT_EQ(done.without_service, std::vector<size_t>{4});
    EXPECT_EQ(asked, (std::vector<size_t>{1, 2, 4}))
        << "the service is asked for only where something was missing";
    EXPECT_EQ(dests(stays).size(), 3U);
    for (const ipvs::DestRecord& d : dests(stays)) EXPECT_EQ(d.weight, 4U + d.address.ip.bytes[3]);
    ASSERT_EQ(dests(gone).size(), 1U);
    EXPECT_EQ(dests(gone)[0].weight, 8U);
    EXPECT_EQ(driver.service(gone.key)->value().scheduler, gone.scheduler);
}

TEST_F(ApplierTest, ASingleOperationThatIsRefusedSaysWhyAndHarmsNoOther) {
    const auto service = web();
    driver.apply(Ops{Op::add(service), Op::add(service.key, dest("10.1.0.1:80")),
                     Op::add(service.key, dest("10.1.0.2:80"))});
    driver.fail_op(driver.ops(), ENOMEM);
    Ops ops{Op::edit(service.key, dest("10.1.0.1:80", 5)),
            Op::remove(service.key, dest("10.1.0.2:80").address)};
    const auto done =
        applier.apply_singles(ops, [&](size_t) -> const ipvs::ServiceRecord& { return service; });
    ASSERT_FALSE(done.statuses[0]);
    EXPECT_EQ(done.statuses[0].error().os_error, ENOMEM);
    EXPECT_TRUE(done.statuses[1]);
    ASSERT_EQ(dests(service).size(), 1U);
    EXPECT_EQ(dests(service)[0].weight, 100U);
}

TEST_F(ApplierTest, ASingleAdditionThatCanNotBeMadeLeavesNoServiceBehind) {
    const auto service = web();
    Ops ops{Op::add(service.key, dest("10.1.0.1:80"))};
    driver.set_hook([](const Op& op, uint64_t number) {
        return op.kind == Op::Kind::add_dest && number > 1 ? ENOMEM : 0;
    });
    const auto done =
        applier.apply_singles(ops, [&](size_t) -> const ipvs::ServiceRecord& { return service; });
    driver.set_hook({});
    EXPECT_FALSE(done.statuses[0]);
    EXPECT_TRUE(driver.services()->empty());
}

// As after a flush of the whole table.
TEST_F(ApplierTest, OfThousandsThatArePutBackTheLogHasSomeAndSaysThatThereAreMore) {
    const auto service = web();
    Ops ops;
    for (int i = 0; i < 1000; ++i)
        ops.push_back(Op::edit(service.key, dest("10.1." + std::to_string(i / 250) + "." +
                                                 std::to_string(1 + i % 250) + ":80")));
    testing::internal::CaptureStderr();
    applier.apply_singles(ops, [&](size_t) -> const ipvs::ServiceRecord& { return service; });
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(dests(service).size(), 1000U);
    EXPECT_EQ(std::ranges::count(log, '\n'), 101);
    EXPECT_NE(log.find("more was put back"), std::string::npos);
    clock.advance(2 * base::second);
    driver.flush();
    testing::internal::CaptureStderr();
    applier.apply_singles({ops.data(), 1}, [&](size_t) -> const ipvs::ServiceRecord& { return service; });
    EXPECT_NE(testing::internal::GetCapturedStderr().find("10.1.0.1:80"), std::string::npos);
}

}  // namespace
}  // namespace gorb::reconcile::applier_test
