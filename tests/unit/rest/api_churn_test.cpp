// Whatever is done to backends, and whatever their checks come to meanwhile: once it is quiet, each has the
// weight that its state of health calls for.
#include <algorithm>
#include <random>

#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_churn_test {
namespace {

constexpr int servers = 4, backends = 5, rounds = 60, ops_a_round = 12;

// Two services whose backends are on the same few servers, so that probes are shared.
struct ApiChurnTest : ApiTest {
    std::mt19937 random{20240501};

    int any(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); }
    std::string service() { return any(2) == 0 ? "web" : "api"; }
    std::string backend() { return "b" + std::to_string(any(backends)); }

    std::string pulses() {
        static constexpr const char* initial[] = {
            "", "", "", R"(,"initial":"up")", R"(,"initial":"down")", R"(,"initial":"unknown")"};
        std::string all;
        for (int n = 1 + any(3); n > 0; --n) {
            all += all.empty() ? "" : ",";
            all.append(R"({"type":")").append(any(2) == 0 ? "tcp" : "http");
            all.append(R"(","interval":"10ms","rise":1,"fall":1)").append(initial[any(6)]).append("}");
        }
        return R"("pulses":[)" + all + "]";
    }
    std::string weight() { return R"("weight":)" + std::to_string(1 + any(100)); }

    void step() {
        const std::string path = "/service/" + service() + "/" + backend();
        switch (any(8)) {
            case 0:
            case 1: {
                // An address that another one has is refused, which is as good as not asked for.
                const std::string address =
                    R"("address":"10.1.0.)" + std::to_string(1 + any(servers)) + R"(","port":8080)";
                const bool there = get(path).status == 200;
                call("PUT", path, "{" + address + "," + weight() + "," + pulses() + "}", there ? "*" : "");
                return;
            }
            case 2:
            case 3:
                call("PATCH", path, "{" + pulses() + "}");
                return;
            case 4:
                call("PATCH", path, "{" + weight() + "}");
                return;
            case 5: {
                static constexpr const char* states[] = {"ready", "ready", "drain", "maint"};
                call("PATCH", path, R"({"admin":")" + std::string(states[any(4)]) + R"("})");
                return;
            }
            case 6:
                if (any(3) == 0) call("DELETE", path);
                return;
            default:
                world.answer(backend(), any(2) == 0 ? health::passing() : health::failing());
        }
    }

    static bool fits(const Json& backend) {
        const bool ready = backend["options"]["admin"] == "ready";
        const bool up = backend["state"] == "up";
        if (ready && !up && !(backend["state"] == "down")) return false;  // nothing is known of it yet
        const double wanted = ready && up ? backend["weight"]["configured"].number() : 0;
        return backend["weight"]["effective"].number() == wanted;
    }
};

TEST_F(ApiChurnTest, WhenItIsQuietEachBackendHasTheWeightThatItsHealthCallsFor) {
    ASSERT_EQ(call("PUT", "/service/web", R"({"address":"10.0.0.1","port":80})").status, 200);
    ASSERT_EQ(call("PUT", "/service/api", R"({"address":"10.0.0.2","port":80})").status, 200);
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
        SCOPED_TRACE(round);
        for (int n = 0; n < ops_a_round; ++n) step();
        for (const char* name : {"web", "api"}) {
            wait_for("/service/" + std::string(name) + "?expand=backends", [](const Json& all) {
                return std::ranges::all_of(all["backends"].elements(), &ApiChurnTest::fits);
            });
        }
    }
}

}  // namespace
}  // namespace gorb::rest::api_churn_test
