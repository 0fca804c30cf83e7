#include "launcher/failure.h"

#include <chrono>
#include <cstdio>
#include <iostream>
#include <new>
#include <thread>

#include "core/error.h"

namespace zerorun {

Failure describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const PeerFailed& failure) {
    return {static_cast<int>(failure.kind()), failure.what(), true};
  } catch (const Error& failure) {
    return {static_cast<int>(failure.kind()), failure.what()};
  } catch (const std::bad_alloc&) {
    return {static_cast<int>(ErrorKind::out_of_memory), "out of memory"};
  } catch (const std::exception& failure) {
    return {static_cast<int>(ErrorKind::bug), failure.what()};
  }
}

void say(const Failure& failure) {
  std::cout << std::flush;
  std::fprintf(stderr, "zerorun: %s\n", failure.message.c_str());
  std::fflush(stderr);
}

void abort_all(MpiSession& session, const Failure& failure) {
  constexpr auto kCourtesy = std::chrono::milliseconds(300);
  if (failure.of_peer) {
    std::this_thread::sleep_for(10 * kCourtesy);
  } else if (session.rank() != 0) {
    std::this_thread::sleep_for(kCourtesy);
  }
  if (session.claim_to_speak()) say(failure);
  session.abort(failure.status);
}

}  // namespace zerorun
