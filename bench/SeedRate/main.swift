// How fast server seeds are computed, and nothing else: what bench/ holds the server's new chains against.
//
//   seed-rate [THREADS] [SECONDS]    prints: 12345 seeds a second on 1 thread

import Crypto
import Dispatch
import Fairness
import Foundation
import Synchronization

func argument(_ index: Int, default value: Int) -> Int {
  guard CommandLine.arguments.count > index else { return value }
  guard let number = Int(CommandLine.arguments[index]), (1...1000).contains(number) else {
    print("usage: seed-rate [THREADS] [SECONDS], each from 1 to 1000")
    exit(64)
  }
  return number
}

let threads = argument(1, default: 1)
let seconds = argument(2, default: 3)
let key = try SeedKey(SymmetricKey(size: .bits256))
let clientSeeds = try (0..<100).map { try ClientSeed("round-\($0):chest-1") }

/// Computes seeds until the time is over, and counts them.
@Sendable func run(thread: Int, until end: ContinuousClock.Instant) -> Int {
  var epoch: UInt64 = 0
  while ContinuousClock.now < end {
    for clientSeed in clientSeeds {
      let input = SeedInput(scope: .account(UInt64(thread) + 1), era: 0, epoch: epoch, clientSeed: clientSeed)
      _ = key.serverSeed(for: input)
    }
    epoch += 1
  }
  return Int(epoch) * clientSeeds.count
}

let start = ContinuousClock.now
let end = start + .seconds(seconds)
let counts = Mutex(0)
DispatchQueue.concurrentPerform(iterations: threads) { thread in
  let count = run(thread: thread, until: end)
  counts.withLock { $0 += count }
}
let rate = Double(counts.withLock { $0 }) / ((ContinuousClock.now - start) / .seconds(1))
print("\(Int(rate)) seeds a second on \(threads) thread\(threads == 1 ? "" : "s")")
