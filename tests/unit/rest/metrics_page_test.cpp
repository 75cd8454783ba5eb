// GET /metrics of many backends.
#include <malloc.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "unit/rest/api_fixture.h"

namespace gorb::rest::metrics_page_test {
namespace {

// Bytes, of this process's "VmRSS" or "VmHWM", the most since forget_most().
size_t memory(const std::string& field) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(field + ":"))
            return std::strtoul(line.c_str() + field.size() + 1, nullptr, 10) << 10;
    }
    return 0;
}
void forget_most() {
    std::ofstream("/proc/self/clear_refs") << "5";
}

size_t count(const std::string& text, const std::string& of) {
    size_t n = 0;
    for (size_t at = text.find(of); at != std::string::npos; at = text.find(of, at + of.size())) ++n;
    return n;
}

TEST_F(ApiTest, TheMetricsOfManyBackendsDoNotTakeManyTimesTheMemoryOfTheirText) {
    constexpr int many = 20'000;
    std::string backends;
    for (int i = 0; i < many; ++i) {
        backends += (i > 0 ? ",\"" : "\"") + std::string("backend-") + std::to_string(i) +
                    R"(":{"address":"10.1.)" + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) +
                    R"(","port":8080,"pulse":{"type":"none"}})";
    }
    ASSERT_EQ(call("PUT", "/config",
                   R"({"services":{"web":{"address":"10.0.0.1","port":80,"backends":{)" + backends + "}}}}")
                  .status,
              200);
    malloc_trim(0);
    forget_most();
    const size_t before = memory("VmRSS");
    const Response page = get("/metrics");
    [[maybe_unused]] const size_t most = memory("VmHWM") - before;
    EXPECT_EQ(count(page.body, "\ngorb_service_backend_weight{"), many);
    EXPECT_EQ(count(page.body, "# TYPE gorb_service_backend_weight gauge\n"), 1U);
    // They keep what was given back, or copies of it.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(most, 4 * page.body.size());
#endif
}

TEST_F(ApiTest, TheMetricsCountWhoCanNotBeCheckedNowAndHaveWhatTheOperatorAskedOfEach) {
    ASSERT_EQ(call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80})").status, 200);
    world.answer("b2", health::not_known());
    world.answer("b3", health::waiting());
    for (const char* name : {"b1", "b2", "b3"}) {
        const std::string body = std::string(R"({"address":"10.1.0.)") + (name + 1) +
                                 R"(","port":80,"pulse":{"type":"tcp","interval":"10ms"}})";
        ASSERT_EQ(call("PUT", std::string("/service/web/") + name, body).status, 200);
        wait_for(std::string("/service/web/") + name, [](const Json& j) { return !j["last"].is_null(); });
    }
    EXPECT_EQ(count(get("/metrics").body, "\ngorb_backends_unchecked 1\n"), 1U) << get("/metrics").body;
    EXPECT_EQ(json(get("/service/web/b2"))["warning"].text(), "can not be checked now: too many open files");
    EXPECT_FALSE(json(get("/service/web/b3")).has("warning"));
    world.answer("b2", health::passing());
    wait_for("/service/web/b2", [](const Json& j) { return !j.has("warning"); });
    EXPECT_EQ(count(get("/metrics").body, "\ngorb_backends_unchecked 0\n"), 1U);

    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"admin":"drain"})").status, 200);
    ASSERT_EQ(call("PATCH", "/service/web/b2", R"({"admin":"maint"})").status, 200);
    const std::string page = get("/metrics").body;
    for (const auto& [host, admin] :
         {std::pair("10.1.0.1", 1), std::pair("10.1.0.2", 2), std::pair("10.1.0.3", 0)}) {
        const size_t line =
            page.find("gorb_service_backend_admin{", page.find("# TYPE gorb_service_backend_admin"));
        const size_t at = page.find(std::string("host=\"") + host, line);
        EXPECT_EQ(page.substr(page.find("} ", at) + 2, 1), std::to_string(admin)) << host;
    }
}

}  // namespace
}  // namespace gorb::rest::metrics_page_test
