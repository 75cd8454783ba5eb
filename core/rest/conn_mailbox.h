// The way of an answer back to the server's loop, from whatever thread has it.
//
// On the loop's thread an answer goes straight to its connection. From others it waits in a box, and only the
// first of a batch wakes the loop. A small one that is alone there goes out at once, and the loop hears of it
// afterwards: its client does not wait for two threads to wake one after the other. Responders hold the box,
// so they may outlive the server.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "io/loop.h"
#include "rest/conn_writer.h"
#include "rest/http.h"

namespace gorb::rest {

// A connection's socket, for answers from other threads. Threads: any.
class Wire {
  public:
    explicit Wire(int fd) : fd_(fd) {}
    // Sends of the answer what the socket takes at once, and gives the rest. nullopt after shut(), with the
    // answer as it was.
    std::optional<Output> send(Response& response, AnswerForm form);
    void shut();  // before the socket is closed

  private:
    std::mutex mutex_;
    int fd_;
};

// Whom an answer is for: the request `serial` of the connection in slot `slot`. Serials are never used twice.
struct Ticket {
    int slot = -1;
    uint64_t serial = 0;
    AnswerForm form;
    std::shared_ptr<Wire> wire;  // null where other answers are still to be sent before this one
};

class AnswerTaker {
  public:
    // On the loop's thread. The connection may be gone.
    virtual void answered(const Ticket& ticket, Response response) = 0;
    // The same for an answer of which all but `rest` has been sent.
    virtual void sent(const Ticket& ticket, int status, Output rest) = 0;

  protected:
    ~AnswerTaker() = default;
};

class Mailbox : public std::enable_shared_from_this<Mailbox> {
  public:
    // Both must live until close().
    Mailbox(io::Loop& loop, AnswerTaker& taker) : loop_(&loop), taker_(&taker) {}

    bool closed();                                          // [any]
    void close();                                           // by any thread, when the loop runs no more
    void deliver(const Ticket& ticket, Response response);  // [any]
    // The function to give to a handler. `request` is for the log, should nobody answer it.
    Responder responder(Ticket ticket, std::shared_ptr<const Request> request);

  private:
    struct Letter {
        Ticket ticket;
        Response response;
        std::optional<Output> rest;  // of what was sent already
    };
    bool on_loop();
    bool alone();
    void hand_out();

    std::mutex mutex_;
    io::Loop* loop_;  // under mutex_; null when closed
    AnswerTaker* const taker_;
    std::vector<Letter> letters_;  // under mutex_
    std::vector<Letter> opened_;   // the loop's; kept for its memory
};

}  // namespace gorb::rest
