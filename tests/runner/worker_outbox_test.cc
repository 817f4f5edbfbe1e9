// The outbox of a worker: order, failure, and that who puts does not wait for who sends.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "runner/worker/outbox.h"

namespace h1bench {
namespace {

TEST(Outbox, SendsInOrderAndCloseWaits) {
  std::vector<int> sent;
  Outbox<int> box([&](int& batch) {
    sent.push_back(batch);
    return Status::Ok();
  });
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(box.Put(i));
  EXPECT_TRUE(box.Close().ok());
  ASSERT_EQ(sent.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sent[static_cast<std::size_t>(i)], i);
}

TEST(Outbox, PutDoesNotWaitForASlowSend) {
  std::promise<void> release;
  std::atomic<int> sent = 0;
  Outbox<int> box([&, gate = release.get_future().share()](int&) {
    gate.wait();
    ++sent;
    return Status::Ok();
  });
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(box.Put(i));  // returns, though none is sent
  EXPECT_EQ(sent, 0);
  release.set_value();
  EXPECT_TRUE(box.Close().ok());
  EXPECT_EQ(sent, 5);
}

TEST(Outbox, AFailureDropsTheRestAndIsTold) {
  std::atomic<int> tried = 0;
  Outbox<int> box([&](int& batch) {
    ++tried;
    return batch == 2 ? Internal("batch {} is lost", batch) : Status::Ok();
  });
  bool taken = true;
  for (int i = 0; i < 1000 && taken; ++i) taken = box.Put(i);
  EXPECT_FALSE(taken);  // a full outbox waits for the failure at the latest
  EXPECT_FALSE(box.Put(7));
  const Status status = box.Close();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.message(), "batch 2 is lost");
  EXPECT_EQ(tried, 3);
}

}  // namespace
}  // namespace h1bench
