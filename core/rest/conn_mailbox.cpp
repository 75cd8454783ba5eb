#include "rest/conn_mailbox.h"

#include <sys/socket.h>

#include <utility>

#include "base/log.h"
#include "rest/error.h"

namespace gorb::rest {
namespace {

// One request's right to one answer, shared by the copies of its responder.
class Pending {
  public:
    Pending(std::shared_ptr<Mailbox> box, Ticket ticket, std::shared_ptr<const Request> request)
        : box_(std::move(box)), ticket_(std::move(ticket)), request_(std::move(request)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() {
        if (answered_.load(std::memory_order_acquire) || box_->closed()) return;
        log("request was never answered");
        box_->deliver(
            ticket_,
            error_response(500, "the daemon lost this request; this is a defect of ours, see its log"));
    }

    void answer(Response response) {
        if (answered_.exchange(true, std::memory_order_acq_rel)) {
            log("request was answered twice, the first answer counts");
            return;
        }
        box_->deliver(ticket_, std::move(response));
    }

  private:
    void log(std::string_view what) const {
        base::log_error(what,
                        {{"method", request_->method}, {"path", request_->path}, {"peer", request_->peer}});
    }

    const std::shared_ptr<Mailbox> box_;
    const Ticket ticket_;
    const std::shared_ptr<const Request> request_;
    std::atomic<bool> answered_{false};
};

}  // namespace

std::optional<Output> Wire::send(Response& response, AnswerForm form) {
    const std::lock_guard lock(mutex_);
    if (fd_ < 0) return std::nullopt;
    Output output;
    output.add(std::move(response), form);
    output.send(fd_);
    return output;
}

void Wire::shut() {
    const std::lock_guard lock(mutex_);
    fd_ = -1;
}

Responder Mailbox::responder(Ticket ticket, std::shared_ptr<const Request> request) {
    return [pending = std::make_shared<Pending>(shared_from_this(), std::move(ticket), std::move(request))](
               Response response) { pending->answer(std::move(response)); };
}

void Mailbox::deliver(const Ticket& ticket, Response response) {
    if (on_loop()) {
        taker_->answered(ticket, std::move(response));
        return;
    }
    Letter letter{ticket, std::move(response), {}};
    // Those of a batch are sent by the loop, while the sender goes on with its next batch.
    if (ticket.wire && letter.response.body.size() <= Output::small_body && alone())
        letter.rest = ticket.wire->send(letter.response, ticket.form);
    const std::lock_guard lock(mutex_);
    if (!loop_) return;
    letters_.push_back(std::move(letter));
    if (letters_.size() == 1) loop_->post([self = shared_from_this()] { self->hand_out(); });
}

bool Mailbox::on_loop() {
    const std::lock_guard lock(mutex_);
    return loop_ && loop_->on_loop_thread();
}

bool Mailbox::alone() {
    const std::lock_guard lock(mutex_);
    return letters_.empty();
}

void Mailbox::hand_out() {
    {
        std::lock_guard lock(mutex_);
        opened_.swap(letters_);
    }
    for (auto& letter : opened_) {
        if (letter.rest) {
            taker_->sent(letter.ticket, letter.response.status, std::move(*letter.rest));
        } else {
            taker_->answered(letter.ticket, std::move(letter.response));
        }
    }
    opened_.clear();
}

bool Mailbox::closed() {
    std::lock_guard lock(mutex_);
    return loop_ == nullptr;
}

void Mailbox::close() {
    std::vector<Letter> dropped;
    std::lock_guard lock(mutex_);
    loop_ = nullptr;
    dropped.swap(letters_);
}

}  // namespace gorb::rest
