#include "io/trouble.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <gorb/sdk/values.hpp>

namespace gorb::trouble_test {
namespace {

TEST(Trouble, TheHostAndTheSdkAgreeOnWhoseFaultAnErrnoIs) {
    for (int error = 0; error < 200; ++error) {
        EXPECT_EQ(io::our_trouble(error), sdk::our_trouble(error)) << error << " " << std::strerror(error);
        EXPECT_EQ(io::our_trouble(-error), io::our_trouble(error)) << error;
    }
}

TEST(Trouble, WhatThisMachineLacksIsOursAndWhatTheTargetDoesIsNot) {
    for (const int ours : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EADDRINUSE, ENETUNREACH, ENETDOWN,
                           ENODEV, EACCES, EPERM, EAFNOSUPPORT, ENOENT})
        EXPECT_TRUE(io::our_trouble(ours)) << std::strerror(ours);
    for (const int theirs : {0, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, EHOSTDOWN, EPIPE, EPROTO,
                             ECONNABORTED, ENOPROTOOPT})
        EXPECT_FALSE(io::our_trouble(theirs)) << std::strerror(theirs);
}

}  // namespace
}  // namespace gorb::trouble_test
