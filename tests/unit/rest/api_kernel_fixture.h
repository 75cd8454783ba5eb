// What tests of the kernel's table and of drift do behind the API's back.
#pragma once
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reconcile/records.h"
#include "unit/rest/api_fixture.h"

namespace gorb::rest {

inline ipvs::ServiceKey key_of(const std::string& vip, model::Protocol protocol = model::Protocol::tcp) {
    return reconcile::kernel_key({protocol, *base::Endpoint::parse(vip)});
}

// Somebody else at the kernel's table.
struct KernelTest : ApiTest {
    using ApiTest::ApiTest;

    void apply(const ipvs::Op& op) {
        for (const base::Status& status : driver->apply(std::vector<ipvs::Op>{op}))
            ASSERT_TRUE(status) << status.error().sentence;
    }
    void make_foreign(const std::string& vip, const std::string& scheduler = "wrr") {
        ipvs::ServiceRecord record;
        record.key = key_of(vip);
        record.scheduler = scheduler;
        record.netmask = 32;
        apply(ipvs::Op::add(record));
    }
    void make_foreign(const std::string& vip, const std::string& address, uint32_t weight) {
        ipvs::DestRecord record;
        record.address = *base::Endpoint::parse(address);
        record.weight = weight;
        apply(ipvs::Op::add(key_of(vip), record));
    }
    std::optional<ipvs::ServiceRecord> service(const std::string& vip) {
        return driver->service(key_of(vip)).value();
    }
    // Nothing when there is no such destination.
    std::optional<ipvs::DestRecord> dest(const std::string& vip, const std::string& address) {
        const auto dests = driver->dests(key_of(vip));
        if (!dests) return std::nullopt;
        for (const ipvs::DestRecord& record : *dests) {
            if (record.address == *base::Endpoint::parse(address)) return record;
        }
        return std::nullopt;
    }
    void set_weight(const std::string& vip, const std::string& address, uint32_t weight) {
        auto record = dest(vip, address);
        ASSERT_TRUE(record);
        record->weight = weight;
        apply(ipvs::Op::edit(key_of(vip), *record));
    }
    // web with `backends` of them, all up and with their weight in the kernel.
    void make_web_up(int backends) {
        make_web(backends);
        for (int n = 1; n <= backends; ++n) {
            wait_for("/service/web/b" + std::to_string(n),
                     [](const Json& j) { return j["weight"]["effective"] == 100; });
        }
    }
    // As declarative files that have these services are applied.
    void declare_files(const std::string& services) {
        auto config = model::read_config("{\"services\":" + services + "}", {});
        ASSERT_TRUE(config);
        std::promise<void> done;
        control->submit(control::Declare{std::move(*config)}, [&](const base::Result<control::Outcome>& o) {
            EXPECT_TRUE(o) << o.error().sentence;
            done.set_value();
        });
        done.get_future().wait();
    }
    // Has /metrics the line, or comes it to have it? Numbers of a round stand there a moment after its
    // answer.
    bool page_has(const std::string& line) {
        for (int tries = 0; tries < 1000; ++tries) {
            if (get("/metrics").body.find(line) != std::string::npos) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    }
    // "gorb web", "foreign", "leaving": whose an entry is.
    static std::string owner(const Json& entry) {
        return entry["owner"].text() + (entry.has("name") ? " " + entry["name"].text() : "");
    }
    // {"10.0.0.1:80": "gorb web", "10.1.0.1:8080": "gorb b1"} of GET /kernel.
    std::map<std::string, std::string> owners() { return owners(json(get("/kernel"))); }
    static std::map<std::string, std::string> owners(const Json& kernel) {
        std::map<std::string, std::string> out;
        const auto place = [](const Json& entry) {
            return entry["address"].text() + ":" + std::to_string(static_cast<int>(entry["port"].number()));
        };
        for (const Json& service : kernel["services"].elements()) {
            out[place(service)] = owner(service);
            for (const Json& dest : service["destinations"].elements()) out[place(dest)] = owner(dest);
        }
        return out;
    }
};

}  // namespace gorb::rest
