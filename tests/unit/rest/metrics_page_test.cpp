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

}  // namespace
}  // namespace gorb::rest::metrics_page_test
