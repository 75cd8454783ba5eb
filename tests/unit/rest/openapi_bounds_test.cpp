// What openapi.json says of values against what documents are read by (model/rules.h): bounds, defaults,
// words.
#include <gtest/gtest.h>

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <regex>

#include "model/codec.h"
#include "model/rules.h"
#include "unit/rest/openapi_check.h"

namespace gorb::rest::openapi_bounds_test {
namespace {

using Said = std::vector<const rapidjson::Value*>;

const rapidjson::Value* find(const Said& said, const char* keyword) {
    for (const auto* one : said) {
        if (one->HasMember(keyword)) return &(*one)[keyword];
    }
    return nullptr;
}

std::string text(const rapidjson::Value& value) {
    rapidjson::StringBuffer out;
    rapidjson::Writer<rapidjson::StringBuffer> writer(out);
    value.Accept(writer);
    return out.GetString();
}

// The documents that a member can stand in, and what must stand beside it there.
struct Place {
    std::string schema;
    std::vector<std::string> member;
    std::string beside;

    std::string name() const {
        std::string out = schema;
        for (const std::string& one : member) out += "/" + one;
        return out;
    }
    // The document with that value; "": without the member.
    std::string document(const std::string& value) const {
        std::string inner = beside;
        if (!value.empty()) {
            if (!inner.empty()) inner += ",";
            inner += "\"" + member.back() + "\":" + value;
        }
        for (size_t i = member.size() - 1; i-- > 0;) {
            std::string outer = "\"" + member[i];
            inner = outer.append("\":{").append(inner).append("}");
        }
        if (schema == "PulseDocument") {
            if (member.back() != "type") inner = R"("type":"tcp")" + (inner.empty() ? "" : "," + inner);
            inner = "\"pulse\":{" + inner + "}";
        }
        std::string out = "{";
        if (member.back() != "address" || schema == "PulseDocument")
            out += schema == "ServiceDocument" ? R"("address":"fd00::1")" : R"("address":"10.1.0.1")";
        if (member.back() != "port") out += R"(,"port":80)";
        return out + (inner.empty() ? "" : "," + inner) + "}";
    }
    bool taken(const std::string& value) const {
        const std::string body = document(value);
        return schema == "ServiceDocument" ? model::read_service("web", body, {}).has_value()
                                           : model::read_backend("b1", body).has_value();
    }
    bool alike(const std::string& a, const std::string& b) const {
        if (schema == "ServiceDocument")
            return *model::read_service("web", document(a), {}) ==
                   *model::read_service("web", document(b), {});
        return *model::read_backend("b1", document(a)) == *model::read_backend("b1", document(b));
    }
};

std::string needs(const std::string& member) {
    if (member == "port" || member == "netmask" || member == "persistence-timeout")
        return R"("persistent":true)";
    if (member == "hysteresis") return R"("quorum":100000)";
    if (member == "lower-threshold") return R"("upper-threshold":2147483647)";
    return "";
}

std::vector<Place> places(const OpenApi& contract) {
    std::vector<Place> out;
    for (const char* schema : {"ServiceDocument", "BackendDocument", "PulseDocument"}) {
        for (const std::string& member : contract.members(schema))
            out.push_back({schema,
                           {member},
                           schema == std::string("ServiceDocument") || member == "lower-threshold"
                               ? needs(member)
                               : ""});
    }
    for (const auto& [outer, inner] : std::vector<std::pair<std::string, std::string>>{
             {"backoff", "factor"}, {"backoff", "max"}, {"damping", "hold"}, {"damping", "forget"}})
        out.push_back({"PulseDocument", {outer, inner}, inner == "hold" ? R"("max":"24h")" : ""});
    out.push_back({"PulseDocument", {"damping", "max"}, ""});
    out.push_back({"PulseDocument", {"window", "of"}, R"("failures":1)"});
    out.push_back({"PulseDocument", {"window", "failures"}, R"("of":100)"});
    return out;
}

TEST(OpenApiBounds, WholeNumbersAreTakenFromTheMinimumToTheMaximum) {
    const OpenApi contract;
    size_t seen = 0;
    for (const Place& place : places(contract)) {
        for (const auto* one : contract.said_of(place.schema, place.member)) {
            if (!one->HasMember("minimum")) continue;
            ++seen;
            ASSERT_TRUE(one->HasMember("maximum")) << place.name();
            const int64_t least = (*one)["minimum"].GetInt64(), most = (*one)["maximum"].GetInt64();
            EXPECT_TRUE(place.taken(std::to_string(least))) << place.name();
            EXPECT_TRUE(place.taken(std::to_string(most))) << place.name();
            EXPECT_FALSE(place.taken(std::to_string(least - 1))) << place.name();
            EXPECT_FALSE(place.taken(std::to_string(most + 1))) << place.name();
        }
    }
    EXPECT_GT(seen, 25U);
}

TEST(OpenApiBounds, ADefaultIsWhatAMemberThatIsLeftOutMeans) {
    const OpenApi contract;
    std::set<std::string> with;
    for (const Place& place : places(contract)) {
        const auto* value = find(contract.said_of(place.schema, place.member), "default");
        if (!value) continue;
        with.insert(place.member.back());
        ASSERT_TRUE(place.taken(text(*value))) << place.name();
        EXPECT_TRUE(place.alike(text(*value), "")) << place.name();
    }
    for (const char* name : {"method", "jitter", "initial", "factor", "hold", "on-down", "quorum",
                             "hysteresis", "panic-threshold", "max-down", "admin", "fallback", "interval"})
        EXPECT_TRUE(with.contains(name)) << name;
    // It follows from slow-start: a client that filled one in would contradict it.
    EXPECT_FALSE(with.contains("recovery"));
}

TEST(OpenApiBounds, TheWordsAreThoseThatAreTaken) {
    const OpenApi contract;
    std::set<std::string> with;
    for (const Place& place : places(contract)) {
        const auto said = contract.said_of(place.schema, place.member);
        const auto* words = find(said, "enum");
        if (!words || place.member.back() == "flags" || place.member.back() == "pulse") continue;
        with.insert(place.member.back());
        for (const auto& word : words->GetArray()) EXPECT_TRUE(place.taken(text(word))) << place.name();
        EXPECT_FALSE(place.taken("\"perhaps\"")) << place.name();
    }
    for (const char* name : {"protocol", "on-down", "recovery", "fallback", "admin", "drain-then", "initial"})
        EXPECT_TRUE(with.contains(name)) << name;
}

TEST(OpenApiBounds, TheRangesOfDurationsAreSaid) {
    struct Range {
        Place place;
        std::string first, last, below, beyond;
    };
    const OpenApi contract;
    const auto of_pulse = [](std::vector<std::string> member) {
        return Place{"PulseDocument", std::move(member), ""};
    };
    for (const Range& range : {
             Range{of_pulse({"interval"}), "10ms", "24h", "9ms", "24h1ms"},
             Range{of_pulse({"timeout"}), "1ms", "10m", "1us", "10m1ms"},
             Range{of_pulse({"fast-interval"}), "10ms", "24h", "9ms", "24h1ms"},
             Range{of_pulse({"down-interval"}), "10ms", "24h", "9ms", "24h1ms"},
             Range{of_pulse({"backoff", "max"}), "10ms", "24h", "9ms", "24h1ms"},
             Range{of_pulse({"damping", "forget"}), "1s", "24h", "999ms", "24h1ms"},
             Range{{"PulseDocument", {"damping", "hold"}, R"("max":"24h")"}, "0s", "24h", "-1s", "24h1ms"},
             Range{{"ServiceDocument", {"slow-start"}, ""}, "1s", "24h", "999ms", "24h1ms"},
             Range{{"ServiceDocument", {"persistence-timeout"}, R"("persistent":true)"},
                   "1s",
                   "720h",
                   "0s",
                   "721h"},
             Range{{"BackendDocument", {"drain-timeout"}, ""}, "0s", "720h", "-1s", "720h1ms"},
         }) {
        const Place& place = range.place;
        const auto quoted = [](const std::string& value) { return "\"" + value + "\""; };
        EXPECT_TRUE(place.taken(quoted(range.first))) << place.name();
        EXPECT_TRUE(place.taken(quoted(range.last))) << place.name();
        EXPECT_FALSE(place.taken(quoted(range.below))) << place.name();
        EXPECT_FALSE(place.taken(quoted(range.beyond))) << place.name();
        std::string said;
        for (const auto* one : contract.said_of(place.schema, place.member)) {
            if (one->HasMember("description")) said += (*one)["description"].GetString();
        }
        EXPECT_NE(said.find(range.first + " to " + range.last), std::string::npos)
            << place.name() << ": " << said;
    }
}

TEST(OpenApiBounds, ListsOfPulsesHaveTheLengthThatIsTaken) {
    const OpenApi contract;
    for (const char* schema : {"BackendDocument", "BackendPatch", "AdoptDocument"}) {
        const auto said = contract.said_of(schema, {"pulses"});
        ASSERT_TRUE(find(said, "maxItems") && find(said, "minItems")) << schema;
        EXPECT_EQ(find(said, "maxItems")->GetUint64(), model::max_pulses);
        EXPECT_EQ(find(said, "minItems")->GetUint64(), 1U);
    }
}

TEST(OpenApiBounds, NamesAreThoseOfTheRule) {
    const OpenApi contract;
    const auto said = contract.said_of("Service", {"name"});
    ASSERT_TRUE(find(said, "pattern") && find(said, "maxLength"));
    const std::regex pattern(find(said, "pattern")->GetString());
    const auto most = find(said, "maxLength")->GetUint64();
    for (const std::string& name :
         {std::string(), std::string("."), std::string(".."), std::string("..."), std::string(".a"),
          std::string("..a"), std::string("a."), std::string("-"), std::string("a b"), std::string("a/b"),
          std::string("web.1_a:b-c"), std::string(128, 'a'), std::string(129, 'a')}) {
        EXPECT_EQ(name.size() <= most && std::regex_match(name, pattern), !model::name_violation(name))
            << name;
    }
}

TEST(OpenApiBounds, AReportIsRefusedInOneWayOnly) {
    const OpenApi contract;
    const auto& push = contract.operations().at("pushPulse");
    EXPECT_TRUE(push.statuses.contains("409"));
    EXPECT_FALSE(push.statuses.contains("412"));
}

}  // namespace
}  // namespace gorb::rest::openapi_bounds_test
