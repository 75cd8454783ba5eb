// The API on a store that is on disk: what a restart keeps, and what is said of a store that can not write.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "reconcile/records.h"
#include "store/database.h"
#include "unit/rest/api_fixture.h"

namespace gorb::rest::api_store_test {
namespace {

using testing::HasSubstr;

class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "gorb-api-XXXXXX").string();
        if (mkdtemp(name.data())) path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::filesystem::path path;
};

// What the test lets through to the real one.
struct Gate {
    std::mutex mutex;
    base::Status answer;
    void refuse(base::Status with) {
        const std::lock_guard lock(mutex);
        answer = std::move(with);
    }
    base::Status now() {
        const std::lock_guard lock(mutex);
        return answer;
    }
};

class Gated final : public store::Database {
  public:
    Gated(std::unique_ptr<store::Database> real, Gate& gate) : real_(std::move(real)), gate_(&gate) {}
    base::Result<store::Loaded> load() override { return real_->load(); }
    bool work() override { return real_->work(); }
    void write(store::Write write, Done done) override {
        if (const base::Status status = gate_->now(); !status) {
            done(status);
        } else {
            real_->write(std::move(write), std::move(done));
        }
    }
    void check_file(Done done) override { real_->check_file(std::move(done)); }
    bool lost() const override { return real_->lost(); }
    void rewrite(store::Loaded all, Done done) override { real_->rewrite(std::move(all), std::move(done)); }
    Status status() const override {
        Status out = real_->status();
        if (const base::Status status = gate_->now(); !status) out.trouble = status.error().sentence;
        return out;
    }

  private:
    std::unique_ptr<store::Database> real_;
    Gate* gate_;
};

// Before the API's fixture, which it outlives.
struct StoreFolder {
    Folder folder;
    Gate gate;
    std::unique_ptr<store::Database> open() {
        auto opened = store::open_database(folder.path);
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().sentence);
        return opened ? std::make_unique<Gated>(std::move(*opened), gate) : nullptr;
    }
};

struct StoredTest : private StoreFolder, ApiTest {
    StoredTest() : ApiTest({}, open()) {}
    void restart() {
        stop();
        start({}, open());
    }
    void refuse(base::Errc code, const std::string& sentence) { gate.refuse(base::fail(code, sentence)); }
    void relent() { gate.refuse({}); }
    std::string file() const { return (folder.path / "gorb.db").string(); }
};

TEST_F(StoredTest, ARestartKeepsEverythingAndItsETags) {
    make_web(2);
    ASSERT_EQ(call("PATCH", "/service/web", R"({"method":"wlc","quorum":2})").status, 200);
    ASSERT_EQ(call("PATCH", "/service/web/b1", R"({"admin":"maint","weight":7})").status, 200);
    const auto config = get("/config"), service = get("/service/web"), backend = get("/service/web/b1");
    restart();
    EXPECT_EQ(get("/config").body, config.body);
    EXPECT_EQ(get("/config").etag, config.etag);
    EXPECT_EQ(get("/service/web").etag, service.etag);
    EXPECT_EQ(get("/service/web/b1").etag, backend.etag);
    EXPECT_EQ(json(get("/service/web/b1"))["options"], json(backend)["options"]);
    EXPECT_EQ(call("PATCH", "/service/web", R"({"method":"rr"})", "\"" + service.etag + "\"").status, 200);
    EXPECT_EQ(call("PUT", "/config", R"({"services":{}})", "\"" + config.etag + "\"").status, 412);
}

TEST_F(StoredTest, TheRootAndTheMetricsShowTheStore) {
    const Json before = json(get("/"))["store"];
    make_web();
    const Json store = json(get("/"))["store"];
    EXPECT_EQ(store["durable"], true);
    EXPECT_EQ(store["path"], file().c_str());
    EXPECT_EQ(store["trouble"], "");
    EXPECT_EQ(store["lost"], false);
    EXPECT_GT(store["revision"].number(), before["revision"].number());
    EXPECT_EQ(store["writes"].number(), before["writes"].number() + 1);
    EXPECT_GE(store["transactions"].number(), 1.0);
    EXPECT_EQ(store["refused"], 0);
    EXPECT_GT(store["bytes"].number(), 0.0);
    const std::string page = get("/metrics").body;
    for (const char* line :
         {"\ngorb_store_durable 1\n", "\ngorb_store_trouble 0\n", "\ngorb_store_refused_total 0\n",
          "# TYPE gorb_store_writes_total counter\n", "\ngorb_store_transactions_total ",
          "\ngorb_store_bytes ", "\ngorb_revision ", "\ngorb_reconcile_last_timestamp_seconds "})
        EXPECT_THAT(page, HasSubstr(line));
}

TEST_F(ApiTest, AStoreInMemoryIsCalledSo) {
    const Json store = json(get("/"))["store"];
    EXPECT_EQ(store["durable"], false);
    EXPECT_EQ(store["path"], "");
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_store_durable 0\n"));
}

TEST_F(StoredTest, WhatCanNotBeStoredIsRefusedAndLeavesNoTrace) {
    make_web(1);
    wait_for("/service/web/b1", [](const Json& j) { return j["weight"]["effective"] == 100; });
    const auto before = get("/config");
    const auto ops = driver->ops();
    for (const auto& [code, status] :
         {std::pair{base::Errc::no_space, 507}, std::pair{base::Errc::unavailable, 503}}) {
        refuse(code, "the disk says no");
        const std::vector<Response> replies{
            call("PUT", "/service/new", R"({"address":"10.0.0.2","port":80})"),
            call("PATCH", "/service/web", R"({"method":"rr"})"),
            call("PUT", "/service/web/b2", R"({"address":"10.1.0.2","port":80})"),
            call("PATCH", "/service/web/b1", R"({"weight":1})"),
            call("DELETE", "/service/web/b1"),
            call("DELETE", "/service/web?drain=1h"),
            call("DELETE", "/service/web"),
            call("PUT", "/config", R"({"services":{}})"),
        };
        for (const Response& reply : replies) {
            EXPECT_EQ(reply.status, status) << reply.body;
            EXPECT_THAT(error(reply), HasSubstr("the disk says no"));
        }
        EXPECT_EQ(get("/config").body, before.body);
        EXPECT_EQ(get("/config").etag, before.etag);
        EXPECT_EQ(driver->ops(), ops);
        // Traffic goes on, and so does what reads.
        EXPECT_EQ(get("/readyz").status, 200);
        EXPECT_EQ(call("POST", "/plan", R"({"services":{}})").status, 200);
        EXPECT_EQ(json(get("/"))["store"]["trouble"], "the disk says no");
        EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_store_trouble 1\n"));
    }
    relent();
    EXPECT_EQ(call("PATCH", "/service/web", R"({"method":"rr"})").status, 200);
    EXPECT_THAT(get("/metrics").body, HasSubstr("\ngorb_store_trouble 0\n"));
}

TEST_F(StoredTest, AServiceThatWaitsForItsConnectionsStillDoesAfterARestart) {
    make_web(1);
    const auto key = reconcile::kernel_key({model::Protocol::tcp, *base::Endpoint::parse("10.0.0.1:80")});
    ASSERT_TRUE(driver->set_counters(key, *base::Endpoint::parse("10.1.0.1:8080"), {3, 0}));
    ASSERT_EQ(call("DELETE", "/service/web?drain=1h").status, 202);
    restart();
    // The new table has no connections, so it goes.
    wait_for("/service/web", [](const Json& j) { return j.has("error"); });
    EXPECT_EQ(get("/service").body, "[]");
}

}  // namespace
}  // namespace gorb::rest::api_store_test
