import API
import Foundation
import Testing

@Suite(.timeLimit(.minutes(1))) struct LineLogTests {
  /// Nobody reads: what waits is bounded, and when somebody does, the log says how many lines were lost.
  @Test func aMebibyteWaitsAndTheRestIsDroppedAndCounted() throws {
    let pipe = Pipe()
    let log = LineLog(descriptor: pipe.fileHandleForWriting.fileDescriptor)
    let text = String(repeating: "x", count: 1000)
    let total = 10_000
    for _ in 0..<total { log.line(.info, text) }
    var (written, bytes, lost) = (0, 0, 0)
    var rest = Data()
    while written + lost < total {
      rest += pipe.fileHandleForReading.availableData
      while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: rest[..<end], as: UTF8.self)
        rest = Data(rest[(end + 1)...])
        if line.contains(text) {
          written += 1
          bytes += line.utf8.count + 1
        } else {
          lost += try #require(line.firstMatch(of: /log lines were dropped.*"dropped":(\d+)/).flatMap { Int($0.1) })
        }
      }
    }
    log.close()
    #expect(written + lost == total && lost > 0)
    // A mebibyte waits, beside what is being written.
    #expect((1 << 20) - 1100...2 << 20 ~= bytes)
  }
}
