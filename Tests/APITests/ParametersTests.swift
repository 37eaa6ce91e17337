import API
import Fairness
import JSON
import Ledger
import Testing

@Suite struct ParametersTests {
  private func query(_ text: String) throws -> Parameters {
    Parameters(query: try QueryString.pairs(in: Array(text.utf8)[...]))
  }

  private func body(_ text: String) throws -> Parameters {
    try Parameters(json: try JSONText(Array(text.utf8)).root, what: "The body")
  }

  private func error(_ read: () throws -> Void) -> String? {
    do {
      try read()
      return nil
    } catch {
      return (error as? Refusal)?.error ?? "\(error)"
    }
  }

  private func unknown(_ name: String, of endpoint: Endpoint = .ints) -> String? {
    error { try query(name + "=1").check(.of(endpoint)) }
  }

  // MARK: Names

  @Test(
    arguments: [
      ("clientseed", "clientSeed"), ("client_seed", "clientSeed"), ("client-seed", "clientSeed"),
      ("seed", "clientSeed"),
      ("ClientSeed", "clientSeed"), ("cnt", "count"), ("Count", "count"), ("count%5B%5D", "count"), ("cout", "count"),
      ("counts", "count"), ("MIN", "min"), ("minimum", "min"), ("maxValue", "max"), ("mx", "max"),
    ])
  func aMisspeltNameIsToldWhatItResembles(_ name: String, _ meant: String) throws {
    let shown = name.replacing("%5B%5D", with: "[]")
    #expect(unknown(name) == "\"\(shown)\" is not a parameter of /api/ints; did you mean \(meant)?")
  }

  @Test(
    arguments: [
      ("items%5B%5D", "items"), ("items%5B0%5D", "items"), ("item", "items"), ("Items", "items"),
      ("weights%5B%5D", "weights"), ("weight", "weights"), ("wieghts", "weights"),
    ])
  func listsInOtherSpellings(_ name: String, _ meant: String) {
    #expect(unknown(name, of: .pick)?.hasSuffix("did you mean \(meant)?") == true)
  }

  @Test(arguments: [
    "unique", "colour", "n", "x", "apiKey", "", "%E2%82%AC", "limit", String(repeating: "count", count: 50),
  ])
  func aNameThatResemblesNoneIsToldWhatThereIs(_ name: String) {
    #expect(
      unknown(name)?.hasSuffix("is not a parameter of /api/ints, which takes clientSeed, count, min, max") == true)
  }

  @Test func aLongNameIsCutShort() throws {
    let text = try #require(unknown(String(repeating: "x", count: 10_000)))
    #expect(text.utf8.count < 200)
  }

  @Test(arguments: ["toolMeta", "_", "_cache", "__proto__", "_clientseed"])
  func whatIsThereForOthersIsIgnored(_ name: String) {
    #expect(unknown(name) == nil)
    #expect(error { try body("{\"\(name)\":{\"a\":[1]}}").check(.of(.ints)) } == nil)
  }

  @Test(arguments: ["ToolMeta", "toolmeta", "toolMeta2"]) func butNothingElse(_ name: String) {
    #expect(unknown(name) != nil)
  }

  @Test func namesAreComparedDecoded() throws {
    #expect(error { try query("%63ount=1").check(.of(.ints)) } == nil)
    #expect(error { try body(#"{"\u0063ount":1}"#).check(.of(.ints)) } == nil)
    #expect(error { try body(#"{"\ud800":1}"#).check(.of(.ints)) } != nil)
  }

  @Test func anEndpointTakesItsOwnParametersOnly() throws {
    for (endpoint, names) in [
      (Endpoint.floats, ["count"]), (.ints, ["count", "min", "max"]), (.shuffle, ["items"]),
      (.pick, ["items", "weights"]),
      (.bytes, ["count", "encoding"]), (.dice, ["notation"]),
      (.gaussian, ["count", "distribution", "mean", "stddev", "lambda"]), (.sample, ["count", "min", "max"]),
    ] {
      let all = [
        "clientSeed", "count", "min", "max", "items", "weights", "encoding", "notation", "distribution", "mean",
        "stddev", "lambda",
      ]
      for name in all {
        #expect(
          (unknown(name, of: endpoint) == nil) == (name == "clientSeed" || names.contains(name)), "\(endpoint) \(name)")
      }
    }
  }

  // MARK: Values

  @Test(arguments: ["3", "3.0", "3e0", "30e-1", "0.3e1", "300E-2"]) func wholeNumbers(_ text: String) throws {
    #expect(try query("count=\(text)").integer("count", in: 1...100) == 3)
    #expect(try body("{\"count\":\(text)}").integer("count", in: 1...100) == 3)
    #expect(try body("{\"count\":\"\(text)\"}").integer("count", in: 1...100) == 3)
  }

  @Test(arguments: [
    "", " 3", "3 ", "+3", "03", "3.", ".3", "3.5", "0x3", "1e400", "NaN", "abc", "3.0000000000000000001",
  ])
  func whatIsNoWholeNumber(_ text: String) throws {
    let encoded = text.replacing("+", with: "%2B").replacing(" ", with: "%20")
    #expect(
      error { _ = try query("count=\(encoded)").integer("count", in: 1...100) }
        == "count must be a whole number from 1 to 100")
    #expect(error { _ = try body("{\"count\":\"\(text)\"}").integer("count", in: 1...100) } != nil)
  }

  @Test func numbers() throws {
    #expect(try query("mean=-2.5e1").number("mean", default: 0) == -25)
    #expect(try query("").number("mean", default: 7) == 7)
    for bad in ["1e999", "NaN", "Infinity", "1,5", ""] {
      #expect(error { _ = try query("mean=\(bad)").number("mean", default: 0) } == "mean must be a finite number")
    }
  }

  @Test func aParameterIsGivenOnce() throws {
    #expect(error { _ = try query("count=1&count=1").integer("count", in: 1...9) } == "count must be given once")
    for body in [#"{"count":1,"count":1}"#, #"{"count":1,"c\u006funt":1}"#] {
      #expect(error { _ = try self.body(body).integer("count", in: 1...9) } == "count must be given once")
    }
  }

  @Test func textIsText() throws {
    #expect(try query("a=1").text("a") == Array("1".utf8))
    #expect(error { _ = try body(#"{"a":1}"#).text("a") } == "a must be a string")
    #expect(error { _ = try body(#"{"a":"\ud800"}"#).text("a") }?.hasPrefix("a has an unpaired surrogate") == true)
  }

  @Test func clientSeeds() throws {
    #expect(try query("").clientSeed().bytes == Array("test".utf8))
    #expect(error { _ = try query("clientSeed=").clientSeed() }?.contains("clientSeed") == true)
    #expect(error { _ = try query("clientSeed=" + String(repeating: "x", count: 257)).clientSeed() } != nil)
  }

  // MARK: Lists

  private func items(_ text: String) throws -> String {
    let request = try DrawRequest(endpoint: .shuffle, parameters: try query(text))
    return String(decoding: request.items?.text ?? [], as: UTF8.self)
  }

  @Test(
    arguments: [
      ("items=a,b", #""a","b""#), ("items=a&items=b", #""a","b""#), ("items=%5B%22a%22,2.50%5D", #""a",2.50"#),
      ("items=solo", #""solo""#), ("items=a,,b", #""a","","b""#), ("items=,", #""","""#),
      // An item with a comma: in a JSON array, also if it is the only one; and when the parameter is repeated.
      ("items=%5B%22Smith,%20John%22%5D", #""Smith, John""#), (#"items=["Smith, John"]"#, #""Smith, John""#),
      ("items=a&items=b,c", #""a","b,c""#), ("items=Smith,+John&items=Doe,+Jane", #""Smith, John","Doe, Jane""#),
      ("items=%5B1%5D&items=%5B2%5D", #""[1]","[2]""#), ("items=&items=", #""","""#),
    ])
  func aListInAQuery(_ text: String, _ expected: String) throws {
    #expect(try items(text) == expected)
  }

  @Test(arguments: ["", "items=", "items=%5B%5D"]) func anEmptyList(_ text: String) {
    #expect(error { _ = try items(text) }?.hasPrefix("items ") == true)
  }

  @Test func listsHaveABoundInBytes() throws {
    func refused(_ parameters: Parameters, _ bound: Int, _ endpoint: Endpoint = .pick) -> Int? {
      var parameters = parameters
      parameters.longestLists = bound
      do {
        _ = try DrawRequest(endpoint: endpoint, parameters: parameters)
        return nil
      } catch {
        return (error as? Refusal)?.status
      }
    }
    // As they came: a JSON array with its white space, the values of a query decoded.
    let json = try body(#"{"items": ["a", "b"], "weights": [1,  2]}"#)
    #expect(refused(json, 17) == nil && refused(json, 16) == 413)
    let pairs = try query("items=a%2Cb&weights=1&clientSeed=longer")
    #expect(refused(pairs, 3) == 413)
    let repeated = try query("items=abc&items=def")
    #expect(refused(repeated, 6, .shuffle) == nil && refused(repeated, 5, .shuffle) == 413)
    #expect(refused(try query("count=100"), 0, .floats) == nil)
  }

  @Test(arguments: ["lambda=abc", "lambda=0", "distribution=poisson&stddev=-1", "distribution=exponential&mean=abc"])
  func whatADistributionDoesNotUseMustStillBeGood(_ text: String) throws {
    #expect(error { _ = try DrawRequest(endpoint: .gaussian, parameters: try query(text)) } != nil)
    let good = try query("lambda=2&mean=3&stddev=4")
    #expect(
      try DrawRequest(endpoint: .gaussian, parameters: good).generator
        == .gaussian(count: 1, .normal(mean: 3, stddev: 4)))
  }

  @Test func aSampleIsNoLargerThanItsRange() throws {
    func read(_ text: String) throws -> Generator {
      try DrawRequest(endpoint: .sample, parameters: try query(text)).generator
    }
    #expect(try read("count=6&max=6") == .sample(count: 6, min: 1, max: 6))
    #expect(
      error { _ = try read("count=7&max=6") }
        == "count must be at most 6, since that is how many integers the range has")
  }

  @Test func anEndpointIsNamedExactly() throws {
    let names = Endpoint.allCases.map(\.name).joined(separator: ", ")
    for text in ["Ints", "ints ", "", "coin"] {
      let refused = error { _ = try Endpoint(parameter: Array(text.utf8)) }
      #expect(refused == "endpoint must be one of \(names)")
    }
    #expect(try Endpoint(parameter: Array("sample".utf8)) == .sample)
  }

  @Test func missingItems() {
    #expect(error { _ = try items("clientSeed=a") } == "items required")
    #expect(error { _ = try items("item=a") } == #""item" is not a parameter of /api/shuffle; did you mean items?"#)
  }

  @Test func plusInADiceNotation() throws {
    for text in ["notation=2d20+5", "notation=2d20%2B5", "notation=2d20%20%2B%205", "notation=2d20+%2B+5"] {
      let request = try DrawRequest(endpoint: .dice, parameters: try query(text))
      #expect(request.generator == .dice(try DiceNotation("2d20+5")))
    }
  }
}
