// HTTP/2 with one server, as far as health checks need it: one call at a time, on a connection that may serve
// many. Pure: bytes in, bytes to send and outcomes out; nghttp2 does the protocol.
//
// Errors: what the server does wrong is problem(), a sentence; std::bad_alloc is all that is thrown.
// Cost: memory is bounded whatever the server sends: 16 KiB of headers, 4 KiB of body and 128 KiB altogether
// for a call.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "health.h"

struct nghttp2_session;

namespace pulse_grpc {

constexpr size_t most_headers = 16 * 1024, most_body = 4096, most_bytes = 128 * 1024;

class Session {
  public:
    Session();
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    struct Request {
        std::string_view scheme;  // "http", "https"
        std::string_view authority;
        std::string_view message;  // framed
        std::string_view agent;
    };
    // Begins Health/Check; only when usable() and no call is open.
    void call(const Request& request);
    // What is to be sent to the server now; "" for nothing. To be asked after call() and feed().
    std::string output();
    // What the server sent.
    void feed(std::string_view bytes);

    // The call is over, and outcome() is there.
    bool ended() const { return ended_; }
    const Outcome& outcome() const { return outcome_; }
    // The server broke the protocol or a limit: the connection is of no more use. "" when all is well.
    const std::string& problem() const { return problem_; }
    // May another call begin? Not after GOAWAY, for one.
    bool usable() const;
    // Did an answer to the call begin? Greetings and good-byes are none.
    bool begun() const { return headers_ > 0; }
    // The call is over, and the server says that it did not look at it: another connection may be asked.
    bool refused() const;

  private:
    struct Callbacks;
    struct Free {
        void operator()(nghttp2_session* session) const;
    };
    void bad(const std::string& words);
    void breaks(const std::string& otherwise);
    void goodbye(uint32_t code, std::string_view text);

    std::unique_ptr<nghttp2_session, Free> session_;
    Outcome outcome_;
    std::string request_, problem_;
    std::string begins_;  // what the server said first, until its SETTINGS
    std::string first_;   // what nghttp2 said first of an error, since the call began
    size_t sent_ = 0;     // of request_
    size_t headers_ = 0, received_ = 0;
    int32_t stream_ = 0;
    bool open_ = false, ended_ = false, goaway_ = false;
    bool greeted_ = false;  // by the server's SETTINGS
    bool reset_ = false;    // the server's RST_STREAM has come for the call
};

}  // namespace pulse_grpc
