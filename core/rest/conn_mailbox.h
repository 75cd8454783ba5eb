// The way of an answer back to the server's loop, from whatever thread has it.
//
// On the loop's thread an answer goes straight to its connection. From others it waits in a box, and only the
// first of a batch wakes the loop. Responders hold the box, so they may outlive the server.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "io/loop.h"
#include "rest/http.h"

namespace gorb::rest {

// Whom an answer is for: the request `serial` of the connection in slot `slot`. Serials are never used twice.
struct Ticket {
    int slot = -1;
    uint64_t serial = 0;
};

class AnswerTaker {
  public:
    // On the loop's thread. The connection may be gone.
    virtual void answered(Ticket ticket, Response response) = 0;

  protected:
    ~AnswerTaker() = default;
};

class Mailbox : public std::enable_shared_from_this<Mailbox> {
  public:
    // Both must live until close().
    Mailbox(io::Loop& loop, AnswerTaker& taker) : loop_(&loop), taker_(&taker) {}

    void opened_by_loop() {
        thread_ = std::this_thread::get_id();
    }                                                // by the loop's thread, before anything is delivered
    bool closed();                                   // [any]
    void close();                                    // by any thread, when the loop runs no more
    void deliver(Ticket ticket, Response response);  // [any]
    // The function to give to a handler. `request` is for the log, should nobody answer it.
    Responder responder(Ticket ticket, std::shared_ptr<const Request> request);

  private:
    struct Letter {
        Ticket ticket;
        Response response;
    };
    void hand_out();

    std::atomic<std::thread::id> thread_{};
    std::mutex mutex_;
    io::Loop* loop_;  // under mutex_; null when closed
    AnswerTaker* const taker_;
    std::vector<Letter> letters_;  // under mutex_
    std::vector<Letter> opened_;   // the loop's; kept for its memory
};

}  // namespace gorb::rest
