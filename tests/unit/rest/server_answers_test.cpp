// Answers that come later, from other threads, twice or never; and what stop() does to them.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server_fixture.h"

namespace gorb::rest::test::server_answers_test {
namespace {

// While the loop does something else.
class BusyLoop {
  public:
    explicit BusyLoop(io::Loop& loop) {
        std::promise<void> busy;
        loop.post([&busy, released = release_.get_future().share()] {
            busy.set_value();
            released.wait();
        });
        busy.get_future().wait();
    }
    ~BusyLoop() { release_.set_value(); }
    BusyLoop(const BusyLoop&) = delete;
    BusyLoop& operator=(const BusyLoop&) = delete;

  private:
    std::promise<void> release_;
};

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

TEST_F(ServerTest, HandlersMayAnswerFromOtherThreadsAtAnyTime) {
    start();
    constexpr int clients = 8, rounds = 50;
    std::atomic<bool> going = true;
    std::vector<std::thread> answering;
    answering.reserve(3);
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
    asking.reserve(clients);
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
    {
        const BusyLoop busy(server_->loop());
        for (int i = 0; i < count; ++i) take_kept()({.body = std::to_string(i)});
    }
    for (auto& each : clients) EXPECT_EQ(each.reply().status, 200);
}

TEST_F(ServerTest, AnAnswerThatIsAloneDoesNotWaitForTheLoop) {
    start();
    Client c = client();
    for (const std::string how : {"GET /later HTTP/1.1\r\nHost: x\r\n", "HEAD /later HTTP/1.1\r\nHost: x\r\n",
                                  "GET /later HTTP/1.0\r\nConnection: keep-alive\r\n",
                                  "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"}) {
        SCOPED_TRACE(how);
        const bool head = how.rfind("HEAD", 0) == 0, last = how.find("close") != std::string::npos;
        c.send(how + "\r\n");
        ASSERT_TRUE(kept(1));
        {
            const BusyLoop busy(server_->loop());
            take_kept()({.status = 201, .body = "at once"});
            const Reply reply = c.reply(10s, head);
            EXPECT_EQ(reply.status, 201);
            EXPECT_EQ(reply.header("content-length"), "7");
            EXPECT_EQ(reply.body, head ? "" : "at once");
            EXPECT_EQ(reply.header("connection"), last                                   ? "close"
                                                  : how.find("1.0") != std::string::npos ? "keep-alive"
                                                                                         : "");
        }
    }
    EXPECT_EQ(c.end(), Ended::finished);
}

TEST_F(ServerTest, WhatIsAskedBeforeTheLoopKnowsOfTheAnswerIsAnsweredAfterIt) {
    start();
    Client c = client();
    c.get("/later");
    ASSERT_TRUE(kept(1));
    {
        const BusyLoop busy(server_->loop());
        take_kept()({.body = "first"});
        EXPECT_EQ(c.reply().body, "first");
        c.send(put("/a", "1") + put("/b", "2"));
    }
    EXPECT_EQ(c.reply().body, "PUT /a 1");
    EXPECT_EQ(c.reply().body, "PUT /b 2");
}

TEST_F(ServerTest, AnAnswerWaitsForTheOnesBeforeItThatAreStillToBeSent) {
    start();
    Client c(server_->address(), 4096);
    c.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    // The second request is with the handler once the first answer has been taken by the socket.
    EXPECT_EQ(c.reply().body.size(), large_bytes);
    ASSERT_TRUE(kept(1));
    take_kept()({.body = "second"});
    EXPECT_EQ(c.reply().body, "second");
    c.send(put("/a", "1") + "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(kept(1));
    take_kept()({.body = "third"});
    EXPECT_EQ(c.reply().body, "PUT /a 1");
    EXPECT_EQ(c.reply().body, "third");
}

TEST_F(ServerTest, AnswersThatTheSocketDoesNotTakeAtOnceArriveWholeAndInOrder) {
    start();
    Client c(server_->address(), 4096);
    constexpr size_t count = 500, bytes = 16 << 10;  // more than sockets hold together
    const auto body = [](size_t i) { return std::to_string(i) + std::string(bytes - 8, 'x'); };
    size_t read = 0;
    for (size_t i = 0; i < count; ++i) {
        c.get("/later");
        while (!eventually([&] { return kept_.with([](auto& kept) { return !kept.empty(); }); }, 50ms)) {
            ASSERT_LT(read, i);  // only a client that does not read is kept waiting
            for (size_t end = std::min(i, read + 32); read < end; ++read)
                ASSERT_EQ(c.reply().body, body(read));
        }
        take_kept()({.body = body(i)});
    }
    EXPECT_GT(read, 0U);
    while (read < count) ASSERT_EQ(c.reply().body, body(read++));
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
    const auto began = Clock::now();
    server_->stop(100ms);
    EXPECT_LT(since(began), 5s);
    EXPECT_NE(busy.end(), Ended::no);
    take_kept()({.body = "too late"});
}

TEST_F(ServerTest, StopTellsThoseWhoseAnswerDoesNotComeInTime) {
    start();
    Client waits = client(), sent = client();
    waits.get("/later");
    sent.get("/later");
    ASSERT_TRUE(kept(2));
    sent.finish_sending();
    server_->stop(100ms);
    for (Client* c : {&waits, &sent}) {
        const Reply reply = c->reply();
        EXPECT_EQ(reply.status, 503);
        EXPECT_NE(reply.body.find("the daemon is stopping"), std::string::npos) << reply.body;
        EXPECT_EQ(c->end(), Ended::finished);
    }
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

// What is done between requests holds up nobody for long, not even the end.
TEST_F(ServerTest, AnswersWhileWhatIsDoneBetweenRequestsTakesLong) {
    std::atomic<bool> wanted{false};
    std::promise<void> begun, over;
    start({}, "127.0.0.1", [&](Server& server) {
        server.between_requests([] {}, {[&] { return size_t{wanted}; },
                                        [&] {
                                            wanted = false;
                                            begun.set_value();
                                            over.get_future().wait();
                                        }});
    });
    Client c = client();
    c.send(put("/a", "1"));
    EXPECT_EQ(c.reply().body, "PUT /a 1");
    wanted = true;
    c.send(put("/b", "2"));
    EXPECT_EQ(c.reply().body, "PUT /b 2");
    begun.get_future().wait();
    for (int i = 0; i < 10; ++i) {
        c.send(put("/c", "3"));
        ASSERT_EQ(c.reply().body, "PUT /c 3");
    }
    server_->stop();
    EXPECT_EQ(c.end(), Ended::finished);
    over.set_value();
    server_.reset();  // before what its thread looks at
}

}  // namespace
}  // namespace gorb::rest::test::server_answers_test
