// The server over real loopback sockets: what every client gets, in whatever state the others are.
#include "rest/server.h"

#include <gtest/gtest.h>

#include <deque>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "base/guarded.h"
#include "server_client.h"

namespace gorb::rest {
namespace {

using namespace std::chrono_literals;
using test::Client;
using test::milliseconds;
using test::Reply;
using Ended = Client::Ended;

// Answers with what it was asked; "/later" keeps its responder until the test answers it, "/never" drops it.
class ServerTest : public testing::Test {
  protected:
    void start(Limits limits = {}, const std::string& address = "127.0.0.1") {
        const base::Endpoint to{*base::Ip::parse(address), 0};
        auto server = Server::listen(
            to, limits, [this](auto request, auto responder) { handle(request, std::move(responder)); });
        ASSERT_TRUE(server) << server.error().sentence;
        server_ = std::move(*server);
        server_->start();
    }
    // Handlers in other threads and kept responders go before what they use.
    void TearDown() override {
        server_.reset();
        kept_.with([](auto& kept) { kept.clear(); });
    }

    void handle(const std::shared_ptr<const Request>& request, Responder responder) {
        Response response;
        response.body = request->method + " " + request->path + " " + request->body;
        if (request->path == "/large") response.body.assign(large_bytes, 'x');
        if (request->path == "/empty") {
            response.status = 204;
            response.body.clear();
        }
        if (request->path == "/etag") {
            response.etag = "7-1";
            response.headers = {{"Location", "/a\r\nInjected: yes"}, {"Allow", "GET"}};
        }
        if (request->path == "/peer") response.body = request->peer;
        if (request->path == "/throw") throw std::runtime_error("thrown by a handler");
        if (request->path == "/never") return;
        if (request->path == "/later") {
            kept_.with([&](auto& kept) { kept.push_back(std::move(responder)); });
            return;
        }
        responder(std::move(response));
    }
    // Waits until `count` requests are with the handler.
    bool kept(size_t count) {
        return eventually([&] { return kept_.with([](auto& kept) { return kept.size(); }) == count; });
    }
    Responder take_kept() {
        return kept_.with([](auto& kept) {
            Responder out = std::move(kept.front());
            kept.pop_front();
            return out;
        });
    }
    template <class Fn>
    static bool eventually(Fn done, milliseconds patience = 10s) {
        for (const auto until = test::Clock::now() + patience; test::Clock::now() < until;) {
            if (done()) return true;
            std::this_thread::sleep_for(1ms);
        }
        return done();
    }
    Client client() { return Client(server_->address()); }
    static milliseconds since(test::Clock::time_point begin) {
        return std::chrono::duration_cast<milliseconds>(test::Clock::now() - begin);
    }

    static constexpr size_t large_bytes = 8 << 20;
    base::Guarded<std::deque<Responder>> kept_;
    std::unique_ptr<Server> server_;
};

std::string put(const std::string& path, const std::string& body) {
    return "PUT " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

bool is_error(const Reply& reply, int status) {
    return reply.status == status && reply.header("content-type") == "application/json" &&
           reply.body.rfind("{\"error\":\"", 0) == 0 && reply.header("connection") == "close";
}

TEST_F(ServerTest, AnswersOnOneConnectionAgainAndAgain) {
    start();
    Client c = client();
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(c.send(put("/a", "body " + std::to_string(i))));
        const Reply reply = c.reply();
        EXPECT_EQ(reply.status, 200);
        EXPECT_EQ(reply.body, "PUT /a body " + std::to_string(i));
        EXPECT_EQ(reply.header("content-type"), "application/json");
        EXPECT_EQ(reply.header("connection"), "");
    }
    EXPECT_EQ(server_->connections(), 1U);
    c.close();
    EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, ListensOnIpv6AndNamesThePeer) {
    start({}, "::1");
    Client c = client();
    ASSERT_TRUE(c.get("/peer"));
    EXPECT_EQ(c.reply().body.rfind("[::1]:", 0), 0U);
}

TEST_F(ServerTest, WildcardOfIpv6TakesIpv4AsWell) {
    start({}, "::");
    Client c(base::Endpoint{*base::Ip::parse("127.0.0.1"), server_->address().port});
    ASSERT_TRUE(c.get("/peer"));
    EXPECT_EQ(c.reply().body.rfind("127.0.0.1:", 0), 0U);
}

TEST_F(ServerTest, SaysWhichAddressIsInUse) {
    start();
    const auto second = Server::listen(server_->address(), {}, [](auto, auto) {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, base::Errc::unavailable);
    EXPECT_NE(second.error().sentence.find(server_->address().text()), std::string::npos)
        << second.error().sentence;
    const auto foreign = Server::listen({*base::Ip::parse("192.0.2.1"), 0}, {}, [](auto, auto) {});
    ASSERT_FALSE(foreign);
    EXPECT_NE(foreign.error().sentence.find("192.0.2.1"), std::string::npos);
}

TEST_F(ServerTest, SendsHeadersAndLetsNoneBeInjected) {
    start();
    Client c = client();
    c.get("/etag");
    const Reply reply = c.reply();
    EXPECT_EQ(reply.header("etag"), "\"7-1\"");
    EXPECT_EQ(reply.header("allow"), "GET");
    EXPECT_EQ(reply.header("location"), "/a  Injected: yes");
    EXPECT_EQ(reply.header("injected"), "");
}

TEST_F(ServerTest, LeavesOutBodiesThatMustNotBe) {
    start();
    Client c = client();
    c.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const Reply head = c.reply(10s, true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.header("content-length"), std::to_string(std::string("GET /a ").size()));
    c.get("/empty");
    const Reply empty = c.reply();
    EXPECT_EQ(empty.status, 204);
    EXPECT_EQ(empty.header("content-length"), "");
    c.get("/b");  // nothing stood between the answers
    EXPECT_EQ(c.reply().body, "GET /b ");
}

TEST_F(ServerTest, SpeaksHttp10) {
    start();
    Client once = client();
    once.send("GET /a HTTP/1.0\r\n\r\n");
    EXPECT_EQ(once.reply().header("connection"), "close");
    EXPECT_EQ(once.end(), Ended::finished);
    Client kept = client();
    for (int i = 0; i < 2; ++i) {
        kept.send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        EXPECT_EQ(kept.reply().header("connection"), "keep-alive");
    }
}

TEST_F(ServerTest, ClosesWhenAskedTo) {
    start();
    Client c = client();
    c.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const Reply reply = c.reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("connection"), "close");
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInTheirOrder) {
    start();
    Client c = client();
    std::string all;
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i)
        all += i % 2 ? put("/" + std::to_string(i), "x")
                     : "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    std::thread sender([&] { c.send(all); });
    for (int i = 0; i < count; ++i) {
        ASSERT_EQ(c.reply().body, (i % 2 ? "PUT /" : "GET /") + std::to_string(i) + (i % 2 ? " x" : " "));
    }
    sender.join();
}

TEST_F(ServerTest, AnswersInOrderWhenAnEarlierOneTakesLonger) {
    start();
    Client c = client();
    c.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /large HTTP/1.1\r\nHost: x\r\n\r\n" + put("/b", "2"));
    ASSERT_TRUE(kept(1));
    EXPECT_EQ(c.reply(50ms).status, 0);
    take_kept()({.body = "at last"});
    EXPECT_EQ(c.reply().body, "at last");
    EXPECT_EQ(c.reply().body.size(), large_bytes);
    EXPECT_EQ(c.reply().body, "PUT /b 2");
}

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

TEST_F(ServerTest, SendsContinueOnlyForABodyThatIsWelcome) {
    Limits limits;
    limits.body_bytes = 100;
    start(limits);
    Client c = client();
    c.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(c.reply().status, 100);
    c.send("hi");
    EXPECT_EQ(c.reply().body, "PUT /a hi");
    c.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_TRUE(is_error(c.reply(), 413));
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, ReadsChunkedBodies) {
    start();
    Client c = client();
    for (const std::string_view part : {"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                                        "3\r\nab", "c\r\n1\r", "\nd\r\n0\r\n", "\r\n"}) {
        c.send(part);
    }
    EXPECT_EQ(c.reply().body, "PUT /a abcd");
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
        const auto began = test::Clock::now();
        c.send(begin);
        // Dripping does not help.
        std::string more = "abcdefghijklmnopqrstuvwxyz";
        while (!more.empty() && !c.receive(test::Clock::now() + 10ms)) {
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
    limits.request = 300ms;
    start(limits);
    Client c = client();
    // Each request takes 200 ms, and the next one begins in the packet that ends it.
    c.send("GET /a HTT");
    for (int i = 0; i < 4; ++i) {
        std::this_thread::sleep_for(200ms);
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

TEST_F(ServerTest, SlowReaderGetsItsLargeAnswerWhole) {
    start();
    Client c(server_->address(), 4096);
    c.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(c.reply(60s).body, std::string(large_bytes, 'x'));
    EXPECT_EQ(c.end(), Ended::finished);
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
        const auto began = test::Clock::now();
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

TEST_F(ServerTest, HandlersMayAnswerFromOtherThreadsAtAnyTime) {
    start();
    constexpr int clients = 8, rounds = 50;
    std::atomic<bool> going = true;
    std::vector<std::thread> answering;
    for (int i = 0; i < 3; ++i) {
        answering.emplace_back([&] {
            while (going) {
                std::optional<Responder> responder;
                kept_.with([&](auto& kept) {
                    if (kept.empty()) return;
                    responder = std::move(kept.front());
                    kept.pop_front();
                });
                if (responder) {
                    (*responder)({.body = "later"});
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    std::vector<std::thread> asking;
    std::atomic<int> good = 0;
    for (int i = 0; i < clients; ++i) {
        asking.emplace_back([&, i] {
            Client c = client();
            for (int k = 0; k < rounds; ++k) {
                if (i == 0 && k % 10 == 9) {  // one of them goes away in the middle
                    Client leaver = client();
                    leaver.get("/later");
                    leaver.reset();
                }
                c.get("/later");
                if (c.reply().body == "later") ++good;
            }
        });
    }
    for (auto& thread : asking) thread.join();
    going = false;
    for (auto& thread : answering) thread.join();
    EXPECT_EQ(good, clients * rounds);
}

TEST_F(ServerTest, AnswersThatComeTogetherAllArrive) {
    start();
    constexpr int count = 20;
    std::vector<Client> clients;
    for (int i = 0; i < count; ++i) {
        clients.push_back(client());
        clients.back().get("/later");
    }
    ASSERT_TRUE(kept(count));
    std::promise<void> blocked, release;
    server_->loop().post([&] {
        blocked.set_value();
        release.get_future().wait();
    });
    blocked.get_future().wait();
    for (int i = 0; i < count; ++i) take_kept()({.body = std::to_string(i)});
    release.set_value();
    for (auto& each : clients) EXPECT_EQ(each.reply().status, 200);
}

TEST_F(ServerTest, ForgottenAndThrowingHandlersAnswer500) {
    start();
    Client c = client();
    for (const std::string path : {"/never", "/throw"}) {
        c.get(path);
        const Reply reply = c.reply();
        EXPECT_EQ(reply.status, 500);
        EXPECT_EQ(reply.body.rfind("{\"error\":", 0), 0U);
    }
    c.get("/later");
    ASSERT_TRUE(kept(1));
    take_kept();  // and drops it, in this thread
    EXPECT_EQ(c.reply().status, 500);
    c.get("/a");
    EXPECT_EQ(c.reply().status, 200);
}

TEST_F(ServerTest, FirstAnswerCounts) {
    start();
    Client c = client();
    c.get("/later");
    ASSERT_TRUE(kept(1));
    const Responder responder = take_kept();
    responder({.body = "first"});
    responder({.body = "second"});
    EXPECT_EQ(c.reply().body, "first");
    c.get("/a");
    EXPECT_EQ(c.reply().body, "GET /a ");
}

TEST_F(ServerTest, LateAnswersForClientsThatHaveGoneAreHarmless) {
    start();
    for (int i = 0; i < 20; ++i) {
        Client c = client();
        c.get("/later");
        ASSERT_TRUE(kept(1));
        c.reset();
        ASSERT_TRUE(eventually([&] { return server_->connections() == 0; }));
        Client next = client();  // gets the descriptor of the one before
        next.get("/later");
        ASSERT_TRUE(kept(2));
        take_kept()({.body = "for the one who has gone"});
        take_kept()({.body = "for the next"});
        EXPECT_EQ(next.reply().body, "for the next");
        next.close();
        ASSERT_TRUE(eventually([&] { return server_->connections() == 0; }));
    }
}

TEST_F(ServerTest, ClientThatHasFinishedSendingStillGetsItsAnswers) {
    start();
    Client c = client();
    c.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n" + put("/b", "2"));
    c.finish_sending();
    ASSERT_TRUE(kept(1));
    std::this_thread::sleep_for(20ms);  // let it see the end; it must neither close nor spin
    take_kept()({.body = "one"});
    EXPECT_EQ(c.reply().body, "one");
    EXPECT_EQ(c.reply().body, "PUT /b 2");
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, StopLetsRequestsUnderWayBeAnswered) {
    start();
    Client idle = client(), busy = client();
    idle.get("/a");
    EXPECT_EQ(idle.reply().status, 200);
    busy.get("/later");
    ASSERT_TRUE(kept(1));
    const base::Endpoint address = server_->address();
    std::thread stopping([&] { server_->stop(10s); });
    EXPECT_EQ(idle.end(), Ended::finished);
    EXPECT_FALSE(Client(address).connected());
    take_kept()({.body = "in time"});
    const Reply reply = busy.reply();
    EXPECT_EQ(reply.body, "in time");
    EXPECT_EQ(reply.header("connection"), "close");
    EXPECT_EQ(busy.end(), Ended::finished);
    stopping.join();
    EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(ServerTest, StopDoesNotWaitLongerThanItsGrace) {
    start();
    Client busy = client(), slow = client();
    busy.get("/later");
    slow.send("GET");
    ASSERT_TRUE(kept(1));
    const auto began = test::Clock::now();
    server_->stop(100ms);
    EXPECT_LT(since(began), 5s);
    EXPECT_NE(busy.end(), Ended::no);
    take_kept()({.body = "too late"});
}

TEST_F(ServerTest, RespondersMayOutliveTheServer) {
    start();
    Client c = client();
    c.get("/later");
    c.send("GET");
    ASSERT_TRUE(kept(1));
    const Responder responder = take_kept();
    server_->stop(0ms);
    server_.reset();
    responder({.body = "nobody is there"});
}

TEST_F(ServerTest, StopsWithoutHavingBeenStarted) {
    auto server = Server::listen({*base::Ip::parse("127.0.0.1"), 0}, {}, [](auto, auto) {});
    ASSERT_TRUE(server);
    (*server)->stop();
    server->reset();
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

}  // namespace
}  // namespace gorb::rest
