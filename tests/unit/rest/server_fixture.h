// A server on loopback for the tests of server*_test.cpp, with a handler that does what the path says.
#pragma once
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "base/guarded.h"
#include "rest/server.h"
#include "server_client.h"

namespace gorb::rest::test {

using namespace std::chrono_literals;
using Ended = Client::Ended;

// Answers with what it was asked; "/later" keeps its responder until the test answers it, "/never" drops it.
class ServerTest : public testing::Test {
  protected:
    void start(const Limits& limits = {}, const std::string& address = "127.0.0.1",
               const std::function<void(Server&)>& before = {}) {
        const base::Endpoint to{*base::Ip::parse(address), 0};
        auto server = Server::listen(
            to, limits, [this](auto request, auto responder) { handle(request, std::move(responder)); });
        ASSERT_TRUE(server) << server.error().sentence;
        server_ = std::move(*server);
        if (before) before(*server_);
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
        for (const auto until = Clock::now() + patience; Clock::now() < until;) {
            if (done()) return true;
            std::this_thread::sleep_for(1ms);
        }
        return done();
    }
    Client client() { return Client(server_->address()); }
    static milliseconds since(Clock::time_point begin) {
        return std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
    }

    static constexpr size_t large_bytes = 8 << 20;
    base::Guarded<std::deque<Responder>> kept_;
    std::unique_ptr<Server> server_;
};

inline std::string put(const std::string& path, const std::string& body) {
    return "PUT " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

inline bool is_error(const Reply& reply, int status) {
    return reply.status == status && reply.header("content-type") == "application/json" &&
           reply.body.rfind("{\"error\":\"", 0) == 0 && reply.header("connection") == "close";
}

}  // namespace gorb::rest::test
