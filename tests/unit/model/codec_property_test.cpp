// For random values that keep the rules: read(write(x)) == x, patch(x, write(y)) of the same key is y, and
// every prefix of a document is refused.
#include <Poco/JSON/Object.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "model/pulse_codec.h"
#include "model/rules.h"
#include "unit/model/codec_helpers.h"
#include "unit/model/random_model.h"

namespace gorb::model::codec_property_test {
namespace {

// What has its default is left out when written: in a patch that means "as it is", and null the default.
const std::vector<std::string> pool_members = {
    "on-down",    "fallback",        "recovery", "slow-start",          "slow-start-least", "quorum",
    "hysteresis", "panic-threshold", "max-down", "persistence-timeout", "netmask"};
const std::vector<std::string> backend_members = {"drain-timeout", "drain-then"};
const std::vector<std::string> policy_members = {"fast-interval", "down-interval", "backoff", "jitter",
                                                 "window",        "damping",       "initial", "address",
                                                 "source",        "interface",     "fwmark"};

void add_nulls(Poco::JSON::Object& object, const std::vector<std::string>& members) {
    for (const std::string& member : members) {
        if (!object.has(member)) object.set(member, Poco::Dynamic::Var());
    }
}
std::string with_nulls(const std::string& text, const std::vector<std::string>& members) {
    auto object = base::parse_json_object(text).value();
    add_nulls(*object, members);
    return base::canonical_json(object);
}
std::string with_nulls_in_pulse(const std::string& text) {
    auto object = base::parse_json_object(text).value();
    add_nulls(*object->getObject("pulse"), policy_members);
    return base::canonical_json(object);
}

TEST(CodecProperty, EveryServiceReadsBackFromWhatIsWritten) {
    Random random(1);
    for (int i = 0; i < 5'000; ++i) {
        const Service s = random.service();
        ASSERT_TRUE(service_violations(s).empty());
        const auto again = read_service(s.name, written(s), {});
        ASSERT_TRUE(again) << written(s) << ": " << again.error().sentence;
        ASSERT_EQ(*again, s) << written(s);
    }
}

TEST(CodecProperty, EveryBackendReadsBackFromWhatIsWritten) {
    Random random(2);
    for (int i = 0; i < 5'000; ++i) {
        const Backend b = random.backend();
        ASSERT_TRUE(backend_violations(b).empty());
        const auto again = read_backend(b.name, written(b));
        ASSERT_TRUE(again) << written(b) << ": " << again.error().sentence;
        ASSERT_EQ(*again, b) << written(b);
    }
}

TEST(CodecProperty, WhatEveryPulseHasIsWhatSentencesSay) {
    std::set<std::string> written_ones;
    Random random(9);
    for (int i = 0; i < 1'000; ++i) {
        const auto object = base::parse_json_object(written(random.backend())).value();
        for (const std::string& name : object->getObject("pulse")->getNames()) written_ones.insert(name);
    }
    written_ones.erase("args");
    std::string said;
    std::istringstream words{std::string(gorb::model::pulse_members())};
    std::set<std::string> said_ones;
    while (words >> said) said_ones.insert(said.substr(0, said.find(',')));
    EXPECT_EQ(said_ones, written_ones);
}

TEST(CodecProperty, APatchWithTheWholeServiceMakesItThat) {
    Random random(3);
    for (int i = 0; i < 5'000; ++i) {
        const Service from = random.service();
        Service to = random.service();
        to.name = from.name;
        to.key = from.key;
        to.netmask = static_cast<uint8_t>(to.key.vip.ip.bits());
        if (!service_violations(to).empty()) continue;  // port 0 without persistence
        const auto patched = patch_service(from, with_nulls(written(to), pool_members));
        ASSERT_TRUE(patched) << written(to) << ": " << patched.error().sentence;
        ASSERT_EQ(*patched, to);
    }
}

TEST(CodecProperty, APatchWithTheWholeBackendMakesItThat) {
    Random random(4);
    for (int i = 0; i < 5'000; ++i) {
        const Backend from = random.backend();
        Backend to = random.backend();
        to.name = from.name;
        to.address = from.address;
        if (!backend_violations(to).empty()) continue;  // a source of the other family
        PulseSpec merged = to.pulses[0];
        if (to.pulses.size() == 1) {
            if (from.pulses.size() > 1) continue;  // then a patch has to give all of them
            if (merged.type == from.pulses[0].type)
                merged.args = from.pulses[0].args;  // else they are merged
            to.pulses = PulseList({merged});
        }
        std::string text = with_nulls(written(to), backend_members);
        if (to.pulses.size() == 1) text = with_nulls_in_pulse(text);
        const auto patched = patch_backend(from, text);
        ASSERT_TRUE(patched) << written(to) << ": " << patched.error().sentence;
        ASSERT_EQ(*patched, to);
    }
}

TEST(CodecProperty, ACutDocumentIsRefused) {
    Random random(5);
    for (int i = 0; i < 50; ++i) {
        const std::string text = written(random.backend());
        for (size_t n = 0; n < text.size(); ++n)
            ASSERT_FALSE(read_backend("b", std::string_view(text).substr(0, n))) << n;
    }
}

}  // namespace
}  // namespace gorb::model::codec_property_test
