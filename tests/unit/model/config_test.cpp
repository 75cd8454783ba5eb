#include "model/config.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "model/rules.h"
#include "unit/model/random_model.h"

namespace gorb::model::config_test {
namespace {

base::Result<Config> config(std::string_view services) {
    return read_config("{\"services\": " + std::string(services) + "}", {});
}

Snapshot snapshot_of(const Config& config) {
    Snapshot out;
    for (const ConfigService& service : config.services) {
        ServiceEntry entry;
        entry.spec = service.spec;
        for (const Backend& backend : service.backends) {
            BackendEntry made;
            made.spec = backend;
            entry.backends = entry.backends.insert(std::make_shared<const BackendEntry>(std::move(made)));
        }
        out.services = out.services.insert(std::make_shared<const ServiceEntry>(std::move(entry)));
    }
    return out;
}

std::string written(const Snapshot& snapshot, bool revision = false) {
    std::string out;
    base::StringSink sink(out);
    base::JsonWriter writer(sink);
    writer.StartObject();
    if (revision) {
        base::key(writer, "revision");
        writer.Uint64(7);
    }
    write_config_services(writer, snapshot);
    writer.EndObject();
    EXPECT_TRUE(writer.IsComplete());
    return out;
}

TEST(Config, ServicesAndBackendsAreReadInTheOrderOfTheirNames) {
    const auto read = config(R"({
        "web": {"address": "10.0.0.1", "port": 80, "backends": {
            "b2": {"host": "10.1.0.2", "port": 80, "weight": 5},
            "b1": {"host": "10.1.0.1", "port": 80, "pulse": {"type": "http", "path": "/"}}}},
        "dns": {"host": "10.0.0.1", "port": 53, "protocol": "udp"}})");
    ASSERT_TRUE(read) << read.error().sentence;
    ASSERT_EQ(read->services.size(), 2U);
    EXPECT_EQ(read->services[0].spec.name, "dns");
    EXPECT_TRUE(read->services[0].backends.empty());
    const ConfigService& web = read->services[1];
    EXPECT_EQ(web.spec, *read_service("web", R"({"address": "10.0.0.1", "port": 80})", {}));
    ASSERT_EQ(web.backends.size(), 2U);
    EXPECT_EQ(web.backends[0], *read_backend("b1", R"({"host": "10.1.0.1", "port": 80,
                                                      "pulse": {"type": "http", "path": "/"}})"));
    EXPECT_EQ(web.backends[1].weight, 5U);
}

TEST(Config, ADocumentWithoutServicesIsTheEmptyState) {
    ASSERT_TRUE(config("{}"));
    EXPECT_TRUE(config("{}")->services.empty());
    EXPECT_EQ(pointers_of(read_config("{}", {})), "/services");
}

TEST(Config, ARevisionIsAcceptedAndMeansNothing) {
    EXPECT_TRUE(read_config(R"({"revision": 5, "services": {}})", {}));
}

TEST(Config, AServiceWithoutAddressTakesTheDefault) {
    const auto read = read_config(R"({"services": {"web": {"port": 80}}})", {ip("10.0.0.7")});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->services[0].spec.key.vip.ip, ip("10.0.0.7"));
    EXPECT_EQ(pointers_of(config(R"({"web": {"port": 80}})")), "/services/web/address");
}

struct Case {
    const char* services;
    const char* pointers;
};

TEST(Config, EveryKindOfFaultIsPointedTo) {
    const Case cases[] = {
        {"[]", "/services"},
        {R"({"web": 5})", "/services/web"},
        {R"({"w b": {"address": "10.0.0.1", "port": 80}})", "/services/w b"},
        {R"({"a/b~": 5})", "/services/a~1b~0"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "colour": 1}})", "/services/web/colour"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "method": "rr", "flags": "sh-port"}})",
         "/services/web/flags"},
        {R"({"web": {"host": "0.0.0.0", "port": 80}})", "/services/web/host"},
        {R"({"web": {"address": "10.0.0.1", "port": 0}})", "/services/web/port"},
        {R"({"a": {"address": "10.0.0.1", "port": 80}, "b": {"address": "10.0.0.1", "port": 80}})",
         "/services/b"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": []}})", "/services/web/backends"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {"b": true}}})",
         "/services/web/backends/b"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {"b/": {}}}})",
         "/services/web/backends/b~1"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {"b": {}}}})",
         "/services/web/backends/b/address /services/web/backends/b/port"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {
              "b": {"host": "10.1.0.1", "port": 80, "weight": 65536}}}})",
         "/services/web/backends/b/weight"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {
              "b": {"host": "10.1.0.1", "port": 80, "pulse": {"interval": "1ms", "backoff": {"factor": 0}}}}}})",
         "/services/web/backends/b/pulse/backoff/factor /services/web/backends/b/pulse/interval"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {
              "a": {"host": "10.1.0.1", "port": 80}, "b": {"host": "10.1.0.1", "port": 80}}}})",
         "/services/web/backends/b"},
        {R"({"web": {"address": "10.0.0.1", "port": 80, "backends": {
              "a": {"host": "2001:db8::1", "port": 80}, "b": {"address": "10.1.0.1", "port": 81, "method": "dr"},
              "c": {"address": "2001:db8::1", "port": 0}}}})",
         "/services/web/backends/a/host /services/web/backends/b/port /services/web/backends/c/address "
         "/services/web/backends/c/port"},
        // Faults of several objects at once; what suits a service that is wrong itself can not be said.
        {R"({"a": {"port": 80, "backends": {"b": {"host": "10.1.0.1", "port": 0}, "c": 1}},
             "b": {"address": "10.0.0.1"}})",
         "/services/a/address /services/a/backends/c /services/b/port"},
    };
    for (const Case& c : cases) EXPECT_EQ(pointers_of(config(c.services)), c.pointers) << c.services;
    EXPECT_EQ(pointers_of(read_config(R"({"services": {}, "pools": {}, "version": 1})", {})),
              "/pools /version");
}

TEST(Config, TwiceTheSameKeyOrAddressNamesTheOther) {
    const auto faults = faults_of(config(R"({
        "a": {"address": "10.0.0.1", "port": 80, "backends": {"b1": {"host": "10.1.0.1", "port": 80},
                                                              "b2": {"host": "10.1.0.1", "port": 80}}},
        "b": {"address": "10.0.0.1", "port": 80}})"));
    EXPECT_EQ(faults.at("/services/b"),
              "has the address, port and protocol 10.0.0.1:80/tcp that service \"a\" has");
    EXPECT_EQ(faults.at("/services/a/backends/b2"),
              "has the address and port 10.1.0.1:80 that backend \"b1\" has");
}

TEST(Config, ANameThatIsThereTwiceIsRefusedByTheReaderOfTheText) {
    const auto read = config(R"({"a": {"address": "10.0.0.1", "port": 80}, "a": {}})");
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().sentence.find("\"a\""), std::string::npos);
}

TEST(Config, NoMoreThan64FaultsAreReported) {
    std::string services;
    for (int i = 0; i < 500; ++i) {
        services += (i ? "," : "{");
        services +=
            "\"s" + std::to_string(i) + R"(": {"address": "10.0.0.1", "port": -1, "backends": {"b": 1}})";
    }
    const auto read = config(services + "}");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().faults.size(), 64U);
}

TEST(Config, BackendsThatAreCheckedAlikeShareTheirPulses) {
    const auto read = config(R"({
        "a": {"address": "10.0.0.1", "port": 80, "backends": {
            "b1": {"host": "10.1.0.1", "port": 80, "pulse": {"type": "http", "path": "/"}},
            "b2": {"host": "10.1.0.2", "port": 80, "pulse": {"type": "http", "path": "/x"}}}},
        "b": {"address": "10.0.0.2", "port": 80, "backends": {
            "b1": {"host": "10.1.0.1", "port": 80, "pulse": {"type": "http", "path": "/"}}}}})");
    ASSERT_TRUE(read);
    const PulseList& one = read->services[0].backends[0].pulses;
    EXPECT_EQ(one.begin(), read->services[1].backends[0].pulses.begin());
    EXPECT_NE(one.begin(), read->services[0].backends[1].pulses.begin());
}

// Distinct names and keys; backends that suit their services.
Config random_config(Random& random) {
    std::map<std::string, ConfigService> services;
    std::set<ServiceKey> keys;
    for (uint64_t i = random.below(6); i > 0; --i) {
        const Service s = random.service();
        if (!keys.insert(s.key).second) continue;
        std::map<std::string, Backend> backends;
        std::set<base::Endpoint> addresses;
        for (uint64_t j = random.below(8); j > 0; --j) {
            Backend b = random.backend();
            if (random.coin()) {
                b.address.port = s.key.vip.port;
                b.pulses = {};
            }
            if (!backend_in_service_violations(s, b).empty() || !backend_violations(b).empty()) continue;
            if (addresses.insert(b.address).second && !backends.contains(b.name)) backends.emplace(b.name, b);
        }
        ConfigService one{s, {}};
        for (const auto& backend : backends) one.backends.push_back(backend.second);
        if (!services.emplace(s.name, one).second) keys.erase(s.key);
    }
    Config out;
    for (const auto& service : services) out.services.push_back(service.second);
    return out;
}

TEST(ConfigProperty, EveryStateReadsBackFromWhatIsWritten) {
    Random random(11);
    size_t backends = 0;
    for (int i = 0; i < 1'500; ++i) {
        const Config wanted = random_config(random);
        const std::string text = written(snapshot_of(wanted), random.coin());
        const auto again = read_config(text, {});
        ASSERT_TRUE(again) << "seed 11, round " << i << ": " << again.error().sentence << " in " << text;
        ASSERT_EQ(*again, wanted) << "seed 11, round " << i << ": " << text;
        for (const ConfigService& s : wanted.services) backends += s.backends.size();
    }
    EXPECT_GT(backends, 1'000U);
}

}  // namespace
}  // namespace gorb::model::config_test
