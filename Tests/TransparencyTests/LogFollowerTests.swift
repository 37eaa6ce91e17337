import Fairness
import Ledger
import Testing
import Transparency

private let signer = try! LogSigner(
  name: "example.com/log/0", seed: Array(repeating: 1, count: 32), algorithm: .ed25519)
private let vrf = [UInt8](repeating: 7, count: 32)
private let daily = [UInt8](repeating: 8, count: 32)

/// Entry `number` of a log; from `fork` on, of another one.
private func entry(_ number: Int, fork: Int = .max) -> [UInt8] {
  if number == 0 { return LogEntry.keys(era: 0, vrf: vrf, daily: daily).bytes }
  return LogEntry.draw(LogDigest(of: Array("\(number < fork ? "outcome" : "another") \(number)".utf8))).bytes
}

private func checkpoint(_ size: Int, fork: Int = .max) -> (note: SignedNote, checkpoint: Checkpoint) {
  var range = CompactRange()
  for number in 0..<size { range.append(.leaf(entry(number, fork: fork))) }
  let checkpoint = Checkpoint(origin: "example.com/log/0", size: size, root: range.root)
  return (SignedNote(text: checkpoint.text, signatures: [signer.sign(checkpoint.text)]), checkpoint)
}

private func follow(_ state: FollowedLog, to size: Int, fork: Int = .max, all: Bool = false) throws -> LogFollower {
  let (note, checkpoint) = checkpoint(size, fork: fork)
  return try LogFollower(state, note: note, checkpoint: checkpoint, fromTheBeginning: all)
}

private func read(_ follower: inout LogFollower, upTo size: Int, fork: Int = .max) throws {
  while follower.size < size { try follower.append(entry(follower.size, fork: fork)) }
}

private let fresh = FollowedLog(key: signer.verifierKey.description)

private func followed(to size: Int) throws -> FollowedLog {
  var follower = try follow(fresh, to: size)
  try read(&follower, upTo: size)
  #expect(follower.isDone)
  return follower.state
}

@Suite struct LogFollowerTests {
  @Test func aLogThatGrowsIsFollowedWithoutReadingItAgain() throws {
    var state = fresh
    for size in [1, 1, 2, 3, 8, 8, 21] {
      var follower = try follow(state, to: size)
      #expect(follower.size == state.size)
      try read(&follower, upTo: size)
      #expect(follower.isDone && follower.names(era: 0, vrf: vrf, daily: daily))
      #expect(!follower.names(era: 0, vrf: daily, daily: daily) && !follower.names(era: 1, vrf: vrf, daily: daily))
      state = follower.state
    }
    #expect(state.subtrees.count == 3 && state.target == nil)
  }

  @Test func oneThatIsInterruptedGoesOnWhereItWas() throws {
    let state = try followed(to: 5)
    for stop in 5...12 {
      var follower = try follow(state, to: 12)
      try read(&follower, upTo: stop)
      // The log may have grown meanwhile; what it signed before still counts.
      for size in [12, 15] {
        var next = try follow(follower.state, to: size)
        #expect(next.size == stop)
        try read(&next, upTo: size)
        #expect(next.isDone)
      }
      #expect(throws: LogFault.shrank(size: 11, seen: 12)) {
        try follow(follower.state, to: 11)
      }
    }
  }

  @Test func aLogThatShrinksOrForksIsNamed() throws {
    let state = try followed(to: 9)
    #expect(throws: LogFault.shrank(size: 8, seen: 9)) { try follow(state, to: 8) }
    #expect(throws: LogFault.forked(size: 9)) { try follow(state, to: 9, fork: 3) }
    var forked = try follow(state, to: 12, fork: 3)
    #expect(throws: LogFault.entriesGiveAnotherRoot(size: 12)) { try read(&forked, upTo: 12, fork: 3) }
    // From the beginning, the old root is missed already.
    var again = try follow(state, to: 12, fork: 3, all: true)
    #expect(throws: LogFault.entriesGiveAnotherRoot(size: 9)) { try read(&again, upTo: 12, fork: 3) }
  }

  @Test func entriesThatAreNotTheLogsAreReadAgain() throws {
    var follower = try follow(followed(to: 5), to: 9)
    #expect(throws: LogFault.entriesGiveAnotherRoot(size: 9)) { try read(&follower, upTo: 9, fork: 7) }
    var again = try follow(follower.stateWithoutEntries, to: 9)
    #expect(again.size == 5)
    try read(&again, upTo: 9)
    #expect(again.isDone)
    #expect(throws: LogFault.shrank(size: 8, seen: 9)) { try follow(follower.stateWithoutEntries, to: 8) }
  }

  @Test func entriesThatCannotBeAreRefused() throws {
    var first = try follow(fresh, to: 3)
    #expect(throws: LogFault.noKeys) { try first.append(entry(1)) }
    #expect(throws: LogFault.malformedEntry(0)) { try first.append(Array("draw 12".utf8)) }
    try first.append(entry(0))
    #expect(throws: LogFault.keysAgain(1)) { try first.append(entry(0)) }
    #expect(throws: LogFault.malformedEntry(1)) { try first.append([]) }
  }
}

@Suite struct KeptRootsTests {
  private let root = String(repeating: "ab", count: 32)

  @Test func linesOfEveryKind() throws {
    let roots = try KeptRoots(
      Array(
        """
        2026-02-27 \(root)
        2026-02-28 -\r

        {"date":"2026-03-01","root":"\(root)","leafCount":3}
        {"roots":[{"date":"2026-03-02","root":"","leafCount":0},{"date":"2026-03-01","root":"\(root)","leafCount":3}]}
        """.utf8))
    for day in ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"] {
      let found = roots.finding(Day(day)!, nil)
      #expect(found?.name == "kept" && found?.fault?.contains("none is published") == true)
    }
    #expect(roots.finding(Day("2026-03-03")!, nil) == nil && !roots.has(Day("2026-03-03")!))
  }

  @Test(
    arguments: [
      ("2026-02-27", "line 1"), ("2026-02-30 \(String(repeating: "ab", count: 32))", "line 1"),
      ("\n2026-02-27 abc", "line 2"),
      ("{\"date\":\"2026-02-27\"}", "no date, root"), ("{", "not JSON"),
      (
        "2026-02-27 -\n2026-02-27 \(String(repeating: "ab", count: 32))",
        "line 2 has another root of 2026-02-27 than line 1"
      ),
    ])
  func whatIsNoneIsNamed(_ text: String, _ why: String) {
    #expect { try KeptRoots(Array(text.utf8)) } throws: { "\($0)".contains(why) }
  }
}

@Suite struct SoughtOutcomesTests {
  private func outcome(_ nonce: Int, _ endpoint: String = "ints", mode: String = "live", items: String = "") -> String {
    """
    {"outcome":\(endpoint == "pick" ? "\"a\"" : "[3]"),"shortId":"short0000\(nonce)","permalink":"x",\
    "serverHash":"\(String(repeating: "ab", count: 32))","clientSeed":"seed","cursor":0,"nonce":\(nonce),\
    "endpoint":"\(endpoint)","min":1,"max":9,"count":1,"created":1795305600000,"mode":"\(mode)"\(items)}
    """
  }

  private func sought(_ text: String, most: Int = 100) throws -> SoughtOutcomes {
    var sought = SoughtOutcomes(most: most)
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) { try sought.read(Array(line.utf8)) }
    return sought
  }

  @Test func everyFormGivesTheSameDigests() throws {
    let (one, two) = (outcome(1), outcome(2))
    let expected = try sought("\(one)\n\(two)").missing
    #expect(expected.count == 2 && Set(expected.values) == ["short00001", "short00002"])
    for text in [
      "[\(one),\(two)]", "\(two)\r\n\n  \(one) ".trimmingPrefix("\n"), "[\(one)]\n[\(two),\(two)]",
      "{\"outcomes\":[\(one),\(two)]}",
      "{\"results\":[{\"ok\":true,\"outcome\":\(one)},{\"ok\":false,\"error\":\"no\"},{\"ok\":true,\"outcome\":\(two)}]}",
      "{\"account\":{\"name\":\"a\"},\n\"keys\":[],\n\"seeds\":[\n{\"clientSeed\":\"x\"}\n],\n\"outcomes\":[\n{\"outcome\":\(one)},\n{\"outcome\":\(two)}\n]}\n",
    ].map(String.init) {
      let found = try sought(text)
      #expect(found.missing == expected && found.count == 2, "\(text)")
    }
    #expect(try sought(one.replacing("\"cursor\":0", with: "\"cursor\":1")).missing.keys != expected.keys)
  }

  @Test func entriesAreMet() throws {
    var found = try sought(outcome(1))
    let digest = try #require(found.missing.keys.first)
    found.met(LogEntry.commit(digest).bytes)
    #expect(found.missing.count == 1)
    found.met(LogEntry.draw(digest).bytes)
    #expect(found.missing.isEmpty && found.count == 1)
  }

  @Test func whatCannotBeLookedForIsCounted() throws {
    let found = try sought(
      "\(outcome(1, "pick"))\n\(outcome(2, mode: "test"))\n\(outcome(3, "pick", items: ",\"items\":[\"a\"]"))")
    #expect(found.withoutItems == 1 && found.ofTestMode == 1 && found.count == 1)
  }

  @Test func whatIsNoneIsNamed() {
    for (text, why) in [("{", "line 1 is not JSON"), ("\n{\"outcome\":[1]}", "line 2:"), ("7", "line 1:")] {
      #expect { try sought(text) } throws: { "\($0)".contains(why) }
    }
    #expect { try sought("\(outcome(1))\n\(outcome(2))", most: 1) } throws: { "\($0)".contains("more than 1 outcomes") }
  }
}
