// One connection's conversation: bytes in, bytes out, requests to the handler and answers in their order. It
// knows no socket and no time.
//
// One request at a time is with the handler; what a client sends ahead waits. Threads: the server's loop.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/give_back.h"
#include "rest/conn_reader.h"
#include "rest/conn_writer.h"
#include "rest/http.h"
#include "rest/limits.h"

namespace gorb::rest {

// Takes a session's whole requests. Session::answer() may be called from within, or later.
class SessionHost {
  public:
    virtual void dispatch(std::shared_ptr<const Request> request) = 0;

  protected:
    ~SessionHost() = default;
};

class Session {
  public:
    // `limits` and `host` must outlive the session.
    Session(const Limits& limits, std::string peer, SessionHost& host);

    void feed(std::string_view in);
    void eof();                      // the client has finished sending
    void answer(Response response);  // to the request that is with the handler
    void answered(Output rest);      // the same where all but `rest` has been sent already
    void resume();                   // output() is empty again: go on with what waited for that
    // Ends the conversation with this error. Not while a request is with the handler.
    void refuse(int status, std::string_view why, int retry_after_s = 0);
    void finish();  // the next answer is the last; none is under way: this is the end

    Output& output() { return output_; }
    bool waiting() const { return waiting_; }                     // a request is with the handler
    bool running() const { return running_; }                     // inside feed(), resume() or answer()
    bool reading() const { return reader_.started(); }            // a request has begun to come in
    size_t progress() const { return reader_.progress(); }        // of its body
    bool full() const { return pending_.size() >= max_pending; }  // read no further for now
    bool ended() const { return ended_; }            // nothing more is read; close when output() is empty
    bool unread() const { return unread_; }          // it ended with the client perhaps still sending
    uint64_t requests() const { return requests_; }  // whole ones so far
    AnswerForm form() const { return form_; }        // of the request with the handler
    const std::string& peer() const { return peer_; }

  private:
    static constexpr size_t max_pending = 64 << 10;

    // What came while a request was with the handler, or the output was full. Requests are taken from its
    // front one at a time, so many that were sent at once are not moved for each.
    class Pending {
      public:
        std::string_view view() const { return std::string_view(bytes_).substr(taken_); }
        size_t size() const { return bytes_.size() - taken_; }
        bool empty() const { return size() == 0; }
        void append(std::string_view more) {
            if (more.empty()) return;
            if (taken_ > bytes_.size() / 2) bytes_.erase(0, std::exchange(taken_, 0));
            bytes_.append(more);
        }
        void drop(size_t n) {
            taken_ += n;
            if (!empty()) return;
            base::give_back(bytes_);
            taken_ = 0;
        }

      private:
        std::string bytes_;
        size_t taken_ = 0;
    };

    // How much of it has been taken: up to a request that is with the handler now; all when this is the end.
    size_t run(std::string_view in);
    void run_pending();
    void settle();
    void after_answer();
    void end_with(Response response, bool head_only);

    RequestReader reader_;
    SessionHost& host_;
    const std::string peer_;
    Output output_;
    Pending pending_;
    AnswerForm form_;  // of the request with the handler
    uint64_t requests_ = 0;
    bool waiting_ = false, running_ = false, eof_ = false, last_ = false, ended_ = false, unread_ = false;
};

}  // namespace gorb::rest
