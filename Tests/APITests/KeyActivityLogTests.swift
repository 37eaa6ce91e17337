import API
import Accounts
import Ledger
import Synchronization
import Testing

@Suite struct KeyActivityLogTests {
  private final class Clock: Sendable {
    let now = Mutex<Milliseconds>(100)
  }

  private let clock = Clock()

  private func log(capacity: Int = 100) -> KeyActivityLog {
    KeyActivityLog(capacity: capacity) { [clock] in clock.now.withLock { $0 } }
  }

  private func advance() { clock.now.withLock { $0 += 1 } }

  @Test func itTellsTheLatestAndTheSum() {
    let log = log()
    log.noteUse(of: KeyID(1))
    log.noteDenial(of: KeyID(2))
    advance()
    log.noteDenial(of: KeyID(1))
    log.noteUse(of: KeyID(1))
    log.noteDenial(of: KeyID(2))
    advance()
    log.noteUse(of: KeyID(1))
    #expect(
      log.take() == [
        KeyID(1): KeyActivity(lastUsed: 102, denied: 1, lastDenied: 101),
        KeyID(2): KeyActivity(lastUsed: nil, denied: 2, lastDenied: 101),
      ])
    #expect(log.take().isEmpty)
  }

  @Test func whatCouldNotBeToldIsKept() {
    let log = log()
    log.noteUse(of: KeyID(1))
    log.noteDenial(of: KeyID(1))
    log.noteDenial(of: KeyID(2))
    let untold = log.take()
    advance()
    log.noteDenial(of: KeyID(1))
    log.putBack(untold)
    #expect(
      log.take() == [
        KeyID(1): KeyActivity(lastUsed: 100, denied: 2, lastDenied: 101),
        KeyID(2): KeyActivity(lastUsed: nil, denied: 1, lastDenied: 100),
      ])
  }

  @Test func itRemembersSoManyKeysAndNoMore() {
    let log = log(capacity: 3)
    for key in 1...5 { log.noteUse(of: KeyID(Int64(key))) }
    advance()
    log.noteUse(of: KeyID(1))
    let untold = log.take()
    #expect(untold.keys.sorted() == [KeyID(1), KeyID(2), KeyID(3)])
    #expect(untold[KeyID(1)]?.lastUsed == 101)
    for key in 4...5 { log.noteUse(of: KeyID(Int64(key))) }
    log.putBack(untold)
    let kept = log.take()
    #expect(kept.count == 3 && kept[KeyID(4)] != nil && kept[KeyID(5)] != nil)
  }
}
