// What clients may not do to the server and to each other: refusals, deadlines, limits.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rest/conn_writer.h"
#include "server_fixture.h"

namespace gorb::rest::test::server_limits_test {
namespace {

TEST_F(ServerTest, ReadsNoFurtherThanItCanKeepWhileARequestIsUnderWay) {
    start();
    Client c = client();
    c.get("/later");
    ASSERT_TRUE(kept(1));
    // Far more than socket buffers and ours hold: the sender has to wait, and everything is answered in the
    // end.
    constexpr int count = 40;
    const std::string body(500'000, 'b');
    std::atomic<int> sent = 0;
    std::thread sender([&] {
        for (int i = 0; i < count; ++i, ++sent) c.send(put("/" + std::to_string(i), body));
    });
    eventually([&] { return sent == count; }, 300ms);
    EXPECT_LT(sent, count);
    take_kept()({.body = "at last"});
    EXPECT_EQ(c.reply().body, "at last");
    for (int i = 0; i < count; ++i)
        ASSERT_EQ(c.reply().body.substr(0, 7), ("PUT /" + std::to_string(i) + " bb").substr(0, 7));
    sender.join();
}

TEST_F(ServerTest, EveryRefusalHasItsStatusAndASentence) {
    Limits limits;
    limits.line_bytes = 1000;
    limits.header_bytes = 2000;
    start(limits);
    const std::vector<std::pair<int, std::string>> cases = {
        {400, "nonsense\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {413, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n"},
        {414, "GET /" + std::string(1000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"},
        {417, "PUT / HTTP/1.1\r\nHost: x\r\nExpect: bread\r\n\r\n"},
        {431, "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(2000, 'a') + "\r\n\r\n"},
        {501, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"}};
    for (const auto& [status, bytes] : cases) {
        Client c = client();
        c.send("GET /before HTTP/1.1\r\nHost: x\r\n\r\n" + bytes);
        EXPECT_EQ(c.reply().body, "GET /before ");
        const Reply reply = c.reply();
        EXPECT_TRUE(is_error(reply, status)) << status << " wanted, " << reply.status << ": " << reply.body;
        c.finish_sending();
        EXPECT_EQ(c.end(), Ended::finished) << status;
    }
}

// The answer comes before the body has been sent, and no reset overtakes it however much the client goes on
// sending.
TEST_F(ServerTest, ClientSeesWhyItsLargeBodyIsRefused) {
    start();
    for (const std::string_view how : {"Content-Length: 12582912", "Transfer-Encoding: chunked"}) {
        Client c = client();
        ASSERT_TRUE(c.send("PUT /a HTTP/1.1\r\nHost: x\r\n" + std::string(how) + "\r\n\r\n"));
        if (how.front() == 'T') c.send("c00000\r\n");
        const std::string part(1 << 20, 'b');
        for (int i = 0; i < 12; ++i) ASSERT_TRUE(c.send(part));
        EXPECT_TRUE(is_error(c.reply(), 413));
        c.finish_sending();
        EXPECT_EQ(c.end(), Ended::finished);
    }
}

TEST_F(ServerTest, DrainsOnlySoMuchAndOnlyForSoLong) {
    Limits limits;
    limits.linger = 200ms;
    limits.linger_bytes = 1 << 20;
    start(limits);
    Client silent = client();
    silent.send("nonsense\r\n\r\n");
    EXPECT_TRUE(is_error(silent.reply(), 400));
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }, 5s));
    Client busy = client();
    busy.send("nonsense\r\n\r\n");
    const std::string part(1 << 16, 'b');
    bool taken = true;
    for (int i = 0; i < 1000 && taken; ++i) taken = busy.send(part);
    EXPECT_FALSE(taken);
}

TEST_F(ServerTest, SlowRequestGets408AtItsDeadline) {
    Limits limits;
    limits.request = 200ms;
    start(limits);
    for (const std::string_view begin :
         {"G", "GET / HTTP/1.1\r\nHost: x\r\n", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"}) {
        Client c = client();
        c.get("/before");
        EXPECT_EQ(c.reply().status, 200);
        const auto began = Clock::now();
        c.send(begin);
        // Dripping does not help.
        std::string more = "abcdefghijklmnopqrstuvwxyz";
        while (!more.empty() && !c.receive(Clock::now() + 10ms)) {
            c.send(more.substr(0, 1));
            more.erase(0, 1);
        }
        EXPECT_TRUE(is_error(c.reply(), 408)) << begin;
        EXPECT_GE(since(began), 199ms);
        EXPECT_LT(since(began), 2s);
        c.finish_sending();
        EXPECT_EQ(c.end(), Ended::finished);
    }
}

TEST_F(ServerTest, DeadlineBeginsAnewWithEachRequest) {
    Limits limits;
    limits.request = 1500ms;
    start(limits);
    Client c = client();
    // Each request takes 500 ms, all of them longer than one may, and the next one begins in the packet that
    // ends it.
    c.send("GET /a HTT");
    for (int i = 0; i < 4; ++i) {
        std::this_thread::sleep_for(500ms);
        c.send("P/1.1\r\nHost: x\r\n\r\nGET /a HTT");
        ASSERT_EQ(c.reply().status, 200) << i;
    }
    EXPECT_TRUE(is_error(c.reply(), 408));
}

TEST_F(ServerTest, IdleConnectionIsClosedWithoutAWord) {
    Limits limits;
    limits.idle = 150ms;
    start(limits);
    Client fresh = client(), used = client();
    used.get("/a");
    EXPECT_EQ(used.reply().status, 200);
    EXPECT_EQ(fresh.end(), Ended::finished);
    EXPECT_EQ(used.end(), Ended::finished);
    EXPECT_EQ(fresh.rest() + used.rest(), "");
}

TEST_F(ServerTest, ClientThatDoesNotTakeItsAnswerIsCutOff) {
    Limits limits;
    limits.write = 200ms;
    start(limits);
    Client c(server_->address(), 4096);
    c.get("/large");
    EXPECT_TRUE(eventually([&] { return server_->connections() == 1; }));
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
    c.end();
    EXPECT_LT(c.rest().size(), large_bytes);
}

TEST_F(ServerTest, AnswersThatNobodyTakesHaveSoMuchMemoryAndNoMore) {
    Limits limits;
    limits.answer_bytes = 4 * large_bytes;
    start(limits);
    std::vector<Client> silent;
    for (int n = 0; n < 12; ++n) {
        silent.emplace_back(server_->address(), 4096);
        silent.back().get("/large");
    }
    Client small(server_->address());
    ASSERT_TRUE(small.get("/small"));
    EXPECT_EQ(small.reply().status, 200);
    EXPECT_TRUE(eventually([&] { return server_->connections() <= 5; })) << server_->connections();
    Client last(server_->address());
    ASSERT_TRUE(last.get("/large"));
    EXPECT_EQ(last.reply(60s).body.size(), large_bytes);
    ASSERT_TRUE(small.get("/small"));
    EXPECT_EQ(small.reply().status, 200);
}

// Whoever keeps his connection between one GET /metrics and the next would keep a page of them here. (A
// sanitizer's malloc() says 0 to all.)
TEST(Output, KeepsNoMemoryOfWhatHasBeenSent) {
    constexpr size_t large = 8 << 20;
    const auto used = [] {
        const auto info = mallinfo2();
        return info.uordblks + info.hblkhd;
    };
    const size_t before = used();
    Output output;
    output.add({.body = std::string(large, 'x')}, {});
    output.sent(output.size());
    EXPECT_TRUE(output.empty());
    EXPECT_LT(used(), before + large / 2);
}

TEST_F(ServerTest, SlowReaderGetsItsLargeAnswerWhole) {
    start();
    Client c(server_->address(), 4096);
    c.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(c.reply(60s).body, std::string(large_bytes, 'x'));
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, ALargeAnswerHasItsTimeForEachPartOfIt) {
    Limits limits;
    limits.write = 2s;
    start(limits);
    Client c(server_->address(), 4096);
    const auto began = Clock::now();
    ASSERT_TRUE(c.get("/later"));
    ASSERT_TRUE(kept(1));
    std::vector<char> part(2 << 20);
    take_kept()({.body = std::string(32 * part.size(), 'x')});
    // 3 s in all, much less for each part.
    size_t size = 0;
    for (int n = 1; n <= 32; ++n) {
        std::this_thread::sleep_until(began + n * 3s / 32);
        size +=
            static_cast<size_t>(std::max<ssize_t>(recv(c.fd(), part.data(), part.size(), MSG_WAITALL), 0));
    }
    EXPECT_EQ(size, 32 * part.size());
}

TEST_F(ServerTest, FreshClientIsServedAtOnceWhileAThousandAreIdleAndOthersDrip) {
    start();
    std::vector<Client> idle, dripping;
    for (int i = 0; i < 1000; ++i) {
        idle.push_back(client());
        ASSERT_TRUE(idle.back().connected());
        if (i % 2) {
            idle.back().get("/a");
            ASSERT_EQ(idle.back().reply().status, 200);
        }
    }
    for (int i = 0; i < 64; ++i) {
        dripping.push_back(client());
        dripping.back().send("GET / HT");
    }
    ASSERT_TRUE(eventually([&] { return server_->connections() == 1064; }));
    milliseconds best = 1h;
    for (int i = 0; i < 5; ++i) {  // the machine may be busy; the server may not be the reason
        const auto began = Clock::now();
        Client fresh = client();
        fresh.get("/a");
        ASSERT_EQ(fresh.reply().status, 200);
        best = std::min(best, since(began));
        for (Client& c : dripping) c.send("T");
    }
    EXPECT_LE(best, 100ms);
}

TEST_F(ServerTest, OverTheLimitTheConnectionIdleForLongestMakesRoom) {
    Limits limits;
    limits.connections = 3;
    start(limits);
    Client a = client(), b = client(), c = client();
    for (Client* each : {&a, &b, &c, &a}) {  // so b is idle for longest
        each->get("/a");
        ASSERT_EQ(each->reply().status, 200);
    }
    Client d = client();
    d.get("/a");
    EXPECT_EQ(d.reply().status, 200);
    EXPECT_EQ(b.end(), Ended::finished);
    for (Client* each : {&a, &c, &d}) {
        each->get("/a");
        EXPECT_EQ(each->reply().status, 200);
    }
}

TEST_F(ServerTest, OverTheLimitWithNobodyIdleTheNewcomerIsTold) {
    Limits limits;
    limits.connections = 2;
    start(limits);
    Client a = client(), b = client();
    a.get("/later");
    ASSERT_TRUE(kept(1));
    b.send("GET /slow");  // has begun its request
    ASSERT_TRUE(eventually([&] { return server_->connections() == 2; }));
    // b's first bytes may still be on their way: until they are read it would count as idle.
    b.send(" HTTP/1.1\r\n");
    for (int i = 0; i < 5; ++i) {
        Client c = client();
        c.get("/a");
        const Reply reply = c.reply();
        EXPECT_TRUE(is_error(reply, 503));
        EXPECT_EQ(reply.header("retry-after"), "1");
        c.finish_sending();
        EXPECT_EQ(c.end(), Ended::finished);
    }
    b.send("Host: x\r\n\r\n");
    EXPECT_EQ(b.reply().body, "GET /slow ");
    take_kept()({.body = "{}"});
    EXPECT_EQ(a.reply().status, 200);
}

// A disk that hangs: clients give up on their changes, and others still want to know how gorbd is.
TEST_F(ServerTest, OverTheLimitThoseWhoGaveUpWaitingMakeRoom) {
    Limits limits;
    limits.connections = 2;
    start(limits);
    for (size_t n = 1; n <= limits.connections; ++n) {
        Client gives_up = client();
        gives_up.get("/later");
        ASSERT_TRUE(kept(n));
    }
    // Until the server has read that they have gone the newcomer may be told to come again.
    EXPECT_TRUE(eventually([&] {
        Client c = client();
        c.get("/a");
        return c.reply().status == 200;
    }));
    // The answers come in the end, to nobody.
    for (size_t n = 0; n < limits.connections; ++n) take_kept()({.body = "{}"});
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, WhoFinishesSendingBeforeTheAnswerGetsItWhileThereIsRoom) {
    start();
    Client half = client();
    half.get("/later");
    half.finish_sending();
    ASSERT_TRUE(kept(1));
    Client other = client();
    other.get("/a");
    EXPECT_EQ(other.reply().status, 200);
    take_kept()({.body = "late"});
    EXPECT_EQ(half.reply().body, "late");
    EXPECT_EQ(half.end(), Ended::finished);
}

TEST_F(ServerTest, ShortLivedConnectionsLeaveNothingBehind) {
    start();
    for (int i = 0; i < 300; ++i) {
        Client c = client();
        switch (i % 4) {
            case 0:
                break;
            case 1:
                c.send("GET / HT");
                break;
            case 2:
                c.get("/large");
                break;
            default:
                c.get("/a");
                EXPECT_EQ(c.reply().status, 200);
        }
        if (i % 3 == 0) c.reset();
    }
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

// ---- large bodies

Limits large_limits() {
    Limits limits;
    limits.large_body_bytes = 3 << 20;
    limits.takes_large = [](std::string_view method, std::string_view path) {
        return method == "PUT" && path == "/config";
    };
    return limits;
}

std::string chunked(const std::string& path, size_t size) {
    std::string out = "PUT " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string chunk(64 << 10, 'b');
    for (; size > 0; size -= std::min(size, chunk.size())) {
        char head[16];
        std::snprintf(head, sizeof head, "%zx\r\n", std::min(size, chunk.size()));
        out.append(head).append(chunk, 0, std::min(size, chunk.size())).append("\r\n");
    }
    return out + "0\r\n\r\n";
}

std::string begun(const std::string& path, size_t size, size_t sent) {
    const std::string whole = put(path, std::string(size, 'b'));
    return whole.substr(0, whole.size() - size + sent);
}

TEST_F(ServerTest, ALargeBodyIsTakenWhereItIsToBeAndNowhereElse) {
    const Limits limits = large_limits();
    start(limits);
    for (const size_t size : {limits.body_bytes + 1, limits.large_body_bytes}) {
        for (const bool in_chunks : {false, true}) {
            const auto request = [&](const std::string& path) {
                return in_chunks ? chunked(path, size) : put(path, std::string(size, 'b'));
            };
            Client c = client();
            ASSERT_TRUE(c.send(request("/config")));
            EXPECT_EQ(c.reply().body.size(), std::string("PUT /config ").size() + size);
            for (const std::string path : {"/other", "/config/"}) {
                Client other = client();
                other.send(request(path));
                const Reply reply = other.reply();
                EXPECT_TRUE(is_error(reply, 413)) << path;
                EXPECT_NE(reply.body.find("1048576"), std::string::npos) << reply.body;
            }
        }
    }
    Client exact = client();
    exact.send(put("/other", std::string(limits.body_bytes, 'b')));
    EXPECT_EQ(exact.reply().status, 200);
    EXPECT_EQ(Limits().large_body_bytes, size_t{64} << 20);
}

TEST_F(ServerTest, ALargeBodyHasALimitToo) {
    const Limits limits = large_limits();
    start(limits);
    const size_t size = limits.large_body_bytes + 1;
    for (const std::string& request : {put("/config", std::string(size, 'b')), chunked("/config", size)}) {
        Client c = client();
        c.send(request);
        const Reply reply = c.reply();
        EXPECT_TRUE(is_error(reply, 413));
        EXPECT_NE(reply.body.find("3145728"), std::string::npos) << reply.body;
    }
}

TEST_F(ServerTest, AWebPageThatMayOnlyReadIsToldByItsHeadAndKeepsNobodyOut) {
    Limits limits = large_limits();
    limits.web_origins = {"https://ops.example"};
    start(limits);
    const auto head = [](const std::string& origin) {
        return "PUT /config HTTP/1.1\r\nHost: x\r\nOrigin: " + origin + "\r\nContent-Length: 2097152\r\n\r\n";
    };
    Client page = client();
    page.send(head("http://evil.example"));
    EXPECT_TRUE(is_error(page.reply(), 403));
    EXPECT_EQ(limits.bodies->large, 0U);
    Client ours = client();
    ours.send(head("https://ops.example") + std::string(2 << 20, 'b'));
    EXPECT_EQ(ours.reply().status, 200);
}

TEST_F(ServerTest, SoManyLargeBodiesAtOnceAndNoMore) {
    const Limits limits = large_limits();
    start(limits);
    const size_t size = 2 << 20;
    Client first = client(), second = client();
    ASSERT_TRUE(first.send(begun("/config", size, 1)));  // a length alone is enough
    ASSERT_TRUE(second.send(chunked("/config", size).substr(0, (1 << 20) + 4096)));
    ASSERT_TRUE(eventually([&] { return limits.bodies->large == 2; }));
    for (const std::string& request : {put("/config", std::string(size, 'b')), chunked("/config", size)}) {
        Client third = client();
        third.send(request);
        EXPECT_TRUE(is_error(third.reply(), 503));
    }
    Client small = client();
    small.send(put("/config", "{}"));
    EXPECT_EQ(small.reply().status, 200);
    first.send(std::string(size - 1, 'b'));
    EXPECT_EQ(first.reply().status, 200);
    ASSERT_TRUE(eventually([&] { return limits.bodies->large == 1; }));
    Client third = client();
    third.send(put("/config", std::string(size, 'b')));
    EXPECT_EQ(third.reply().status, 200);
    second.reset();
    EXPECT_TRUE(eventually([&] { return limits.bodies->large == 0; }));
}

TEST_F(ServerTest, BodiesThatDoNotComeWholeHaveSoMuchMemoryAndNoMore) {
    Limits limits;
    limits.all_body_bytes = 3 << 20;
    start(limits);
    const size_t size = 1 << 20;
    const size_t half = size / 2;
    Client small = client();
    std::vector<Client> slow;
    for (size_t n = 0; n < 8; ++n) {
        slow.push_back(client());
        ASSERT_TRUE(slow.back().send(begun("/a", size, half)));
        ASSERT_TRUE(small.get("/a"));  // after its answer they stand in this order
        EXPECT_EQ(small.reply().status, 200);
    }
    // The first are told, and let go of what they have sent.
    const Reply reply = slow.front().reply();
    EXPECT_TRUE(is_error(reply, 503));
    EXPECT_EQ(reply.header("retry-after"), "1");
    EXPECT_TRUE(eventually([&] { return limits.bodies->bytes <= limits.all_body_bytes; }));
    // The last one is not one of them.
    ASSERT_TRUE(slow.back().send(std::string(size - half, 'b')));
    EXPECT_EQ(slow.back().reply().status, 200);
    slow.clear();
    EXPECT_TRUE(eventually([&] { return limits.bodies->bytes == 0; }));
}

TEST_F(ServerTest, ABodyHoldsItsMemoryUntilItsRequestIsAnswered) {
    Limits limits;
    limits.all_body_bytes = 1 << 20;
    start(limits);
    const std::string body((1 << 20) - 1, 'b');
    Client first = client();
    ASSERT_TRUE(first.send(put("/later", body)));
    ASSERT_TRUE(kept(1));
    Client second = client();
    second.send(put("/a", body));
    EXPECT_TRUE(is_error(second.reply(), 503));
    Client small = client();
    ASSERT_TRUE(small.send(put("/a", "b")));
    EXPECT_EQ(small.reply().status, 200);
    take_kept()({});
    EXPECT_EQ(first.reply().status, 200);
    EXPECT_TRUE(eventually([&] { return limits.bodies->bytes == 0; }));
    Client third = client();
    ASSERT_TRUE(third.send(put("/a", body)));
    EXPECT_EQ(third.reply().status, 200);
}

TEST_F(ServerTest, ALargeBodyHasItsTimeForEachPartOfIt) {
    Limits limits = large_limits();
    limits.request = 2s;
    start(limits);
    const size_t size = 3 << 20;
    Client moves = client();
    ASSERT_TRUE(moves.send(begun("/config", size, 0)));
    const auto began = Clock::now();
    for (int i = 0; i < 3; ++i) {  // 2.7 s in all
        std::this_thread::sleep_for(900ms);
        ASSERT_TRUE(moves.send(std::string(size / 3, 'b')));
    }
    EXPECT_EQ(moves.reply().status, 200);
    EXPECT_GT(since(began), limits.request);

    Client stalls = client();
    ASSERT_TRUE(stalls.send(begun("/config", size, size / 2)));
    EXPECT_TRUE(is_error(stalls.reply(), 408));
    // What drips does not move on.
    Client drips = client();
    ASSERT_TRUE(drips.send(begun("/config", size, size / 2)));
    for (int i = 0; i < 500 && !drips.receive(Clock::now() + 10ms); ++i) drips.send("b");
    EXPECT_TRUE(is_error(drips.reply(), 408));
}

}  // namespace
}  // namespace gorb::rest::test::server_limits_test
