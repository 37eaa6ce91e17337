import JSON
import Testing

@Suite struct EqualityTests {
  private func areSame(_ a: String, _ b: String) throws -> Bool {
    let (x, y) = (try JSONText(Array(a.utf8)).root, try JSONText(Array(b.utf8)).root)
    #expect(x.isSame(as: y) == y.isSame(as: x))
    #expect(x.isSame(as: x) && y.isSame(as: y))
    return x.isSame(as: y)
  }

  @Test(arguments: [
    ("1", "1.0"), ("100", "1e2"), ("0", "-0"), ("0.1", "1e-1"), ("1e-7", "0.0000001"), ("0.1", "0.1000000000000000055"),
    ("30546530473753076000", "3.0546530473753076e+19"), (#""é""#, #""\u00e9""#), (#""/""#, #""\/""#),
    ("[1, 2]", "[1,2]"), (#"{"a":1,"b":[2]}"#, #"{ "b" : [ 2.0 ], "\u0061" : 1 }"#), ("[]", "[ ]"), ("{}", "{ }"),
    ("1e400", "1e400"), (#""\ud800""#, #""\ud800""#), (#"{"\ud800":1}"#, #"{"\ud800":1.0}"#),
  ])
  func theSame(_ a: String, _ b: String) throws { #expect(try areSame(a, b)) }

  @Test(arguments: [
    ("1", "2"), ("1", "\"1\""), ("true", "false"), ("null", "0"), ("null", "false"), ("[]", "{}"), ("[1]", "[1,1]"),
    ("[1,2]", "[2,1]"), ("12345678901234567890", "12345678901234567891"), ("1e400", "1e401"), ("1e400", "-1e400"),
    (#""é""#, #""e\u0301""#), (#"{"a":1}"#, #"{"a":1,"b":1}"#), (#"{"a":1}"#, #"{"b":1}"#),
    (#"{"a":1}"#, #"{"a":1,"a":1}"#),
    (#"{"a":1,"a":2}"#, #"{"a":2,"a":1}"#), (#""\ud800""#, #""\ud801""#), (#"{"\ud800":1}"#, #"{"\ud800":2}"#),
    (#"{"\ud800":1}"#, #"{}"#),
  ])
  func different(_ a: String, _ b: String) throws { #expect(try !areSame(a, b)) }
}
