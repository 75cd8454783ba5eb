// The channel against the kernel's own family "nlctrl", which every kernel has and everybody may ask.
#include "ipvs/netlink_channel.h"

#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cerrno>

#include "ipvs/netlink_driver.h"
#include "unit/ipvs/records.h"

namespace gorb::ipvs::netlink_channel_test {
namespace {

constexpr int ample = 1 << 20;

NlMsg ask_family(const std::string& name) {
    NlMsg msg = NetlinkChannel::request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK);
    nla_put_string(msg.get(), CTRL_ATTR_FAMILY_NAME, name.c_str());
    return msg;
}

TEST(NetlinkChannel, FindsAFamilyByItsName) {
    const auto channel = NetlinkChannel::open(ample);
    ASSERT_TRUE(ok(channel));
    const auto found = (*channel)->family("nlctrl");
    ASSERT_TRUE(ok(found));
    EXPECT_EQ(*found, GENL_ID_CTRL);
    EXPECT_EQ((*channel)->family("no-such-family").error().code, base::Errc::not_found);
}

TEST(NetlinkChannel, EachRequestOfASendHasItsOwnAnswer) {
    const auto channel = NetlinkChannel::open(ample);
    ASSERT_TRUE(ok(channel));
    std::vector<NlMsg> requests;
    requests.reserve(100);
    for (int i = 0; i < 100; ++i) requests.push_back(ask_family(i % 3 == 0 ? "no-such-family" : "nlctrl"));
    int data = 0;
    const auto outcome = (*channel)->exchange(requests, [&data](std::span<const std::byte>) { ++data; });
    ASSERT_TRUE(ok(outcome));
    ASSERT_EQ(outcome->answers.size(), 100U);
    for (size_t i = 0; i < 100; ++i) {
        EXPECT_EQ(outcome->answers[i].request, i);
        EXPECT_EQ(outcome->answers[i].os_error, i % 3 == 0 ? ENOENT : 0) << i;
    }
    EXPECT_FALSE(outcome->lost);
    EXPECT_EQ(data, 66);
    EXPECT_FALSE(outcome->interrupted);
}

TEST(NetlinkChannel, AnswersThatTheKernelThrewAwayAreUnknownAndTheNextExchangeIsSound) {
    const auto channel = NetlinkChannel::open(1);  // the least that the system grants
    ASSERT_TRUE(ok(channel));
    std::vector<NlMsg> requests;
    requests.reserve(100);
    for (int i = 0; i < 100; ++i) requests.push_back(ask_family("no-such-family"));
    const auto outcome = (*channel)->exchange(requests);
    ASSERT_TRUE(ok(outcome));
    EXPECT_LT(outcome->answers.size(), 100U);
    EXPECT_GT(outcome->answers.size(), 0U);
    EXPECT_TRUE(outcome->lost);
    EXPECT_TRUE(outcome->interrupted);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(*(*channel)->family("nlctrl"), GENL_ID_CTRL);
}

// Messages one behind the other, none of which asks for an answer.
std::vector<std::byte> quiet_requests(size_t count) {
    std::vector<std::byte> messages;
    for (size_t i = 0; i < count; ++i) {
        const NlMsg msg = ask_family(i % 3 == 0 ? "no-such-family" : "nlctrl");
        nlmsghdr* header = nlmsg_hdr(msg.get());
        header->nlmsg_flags &= static_cast<uint16_t>(~NLM_F_ACK);
        const auto* begin = reinterpret_cast<const std::byte*>(header);
        messages.insert(messages.end(), begin, begin + header->nlmsg_len);
        messages.resize(NLMSG_ALIGN(messages.size()));
    }
    return messages;
}

TEST(NetlinkChannel, WhatIsNotRefusedBeforeTheLastAnswerWasDone) {
    const auto channel = NetlinkChannel::open(ample);
    ASSERT_TRUE(ok(channel));
    for (const size_t count : {size_t{1}, size_t{2}, size_t{100}}) {  // the last is refused, done, refused
        std::vector<std::byte> messages = quiet_requests(count);
        const auto outcome = (*channel)->exchange_quietly(messages, count);
        ASSERT_TRUE(ok(outcome));
        EXPECT_FALSE(outcome->lost);
        for (size_t i = 0; i < count; ++i) {
            const NetlinkChannel::Answer* answer = outcome->answer_to(i);
            const bool wrong = i % 3 == 0, last = i + 1 == count;
            ASSERT_EQ(answer != nullptr, wrong || last) << i;
            if (answer) {
                EXPECT_EQ(answer->os_error, wrong ? ENOENT : 0) << i;
            }
        }
    }
}

TEST(NetlinkChannel, SilenceMeansNothingWhenAnswersWereThrownAway) {
    const auto channel = NetlinkChannel::open(1);
    ASSERT_TRUE(ok(channel));
    std::vector<std::byte> messages = quiet_requests(100);
    const auto outcome = (*channel)->exchange_quietly(messages, 100);
    ASSERT_TRUE(ok(outcome));
    EXPECT_TRUE(outcome->lost);
    EXPECT_TRUE(outcome->interrupted);
    for (const NetlinkChannel::Answer& answer : outcome->answers)
        EXPECT_EQ(answer.os_error, answer.request % 3 == 0 ? ENOENT : 0) << answer.request;
    EXPECT_LT(outcome->answers.size(), 34U);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(*(*channel)->family("nlctrl"), GENL_ID_CTRL);
}

TEST(NetlinkChannel, ADumpEndsWithItsOwnAnswer) {
    const auto channel = NetlinkChannel::open(ample);
    ASSERT_TRUE(ok(channel));
    std::vector<NlMsg> requests;
    requests.push_back(NetlinkChannel::request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_DUMP));
    int families = 0;
    const auto outcome =
        (*channel)->exchange(requests, [&families](std::span<const std::byte>) { ++families; });
    ASSERT_TRUE(ok(outcome));
    ASSERT_EQ(outcome->answers.size(), 1U);
    EXPECT_EQ(outcome->answers[0].os_error, 0);
    EXPECT_GT(families, 0);
    EXPECT_GT(outcome->data_parts, 0);
    EXPECT_GT(outcome->largest_part, static_cast<size_t>(families / outcome->data_parts) * NLMSG_HDRLEN);
}

// Whatever this machine is: either there is IPVS and it can be asked, or one sentence says what would help.
TEST(NetlinkDriver, OpensOrSaysWhatIsMissing) {
    NetlinkOptions options;
    options.modprobe = {"/nonexistent/modprobe"};  // a unit test changes nothing on the machine
    const auto driver = open_netlink_driver(options);
    if (driver) {
        EXPECT_TRUE((*driver)->info()->forwards);
        return;
    }
    const std::string& sentence = driver.error().sentence;
    if (driver.error().code == base::Errc::forbidden) {
        EXPECT_NE(sentence.find("CAP_NET_ADMIN"), std::string::npos) << sentence;
    } else {
        EXPECT_EQ(driver.error().code, base::Errc::unavailable);
        for (const std::string_view part : {"has no IPVS", "there is no modprobe here", "--driver memory"}) {
            EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
        }
    }
}

}  // namespace
}  // namespace gorb::ipvs::netlink_channel_test
