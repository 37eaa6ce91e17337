import API
import Testing

@Suite struct TraceContextTests {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  private static let parent = "00f067aa0ba902b7"

  @Test(arguments: [
    "00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-00", "00-\(trace)-\(parent)-ff",
    "01-\(trace)-\(parent)-01", "cc-\(trace)-\(parent)-01-what-comes-later", "01-\(trace)-\(parent)-01-",
  ])
  func aHeaderIsRead(_ header: String) throws {
    let context = try #require(TraceContext(header))
    #expect(context.traceID == Self.trace && context.parentID == Self.parent)
  }

  @Test(arguments: [
    "", "00", "-", "00-\(trace)-\(parent)", "00-\(trace)-\(parent)-", "00-\(trace)-\(parent)-1",
    "00-\(trace)-\(parent)-01-", "00-\(trace)-\(parent)-01-more", "00-\(trace)-\(parent)-011",
    "01-\(trace)-\(parent)-01more", "ff-\(trace)-\(parent)-01", "FF-\(trace)-\(parent)-01", "0-\(trace)-\(parent)-010",
    "00-\(trace.uppercased())-\(parent)-01", "00-\(trace)-\(parent.uppercased())-01", "00-\(trace)-\(parent)-0G",
    "00-00000000000000000000000000000000-\(parent)-01", "00-\(trace)-0000000000000000-01",
    "00_\(trace)-\(parent)-01", "00-\(trace)_\(parent)-01", "00-\(trace)-\(parent)_01", " 00-\(trace)-\(parent)-01",
    "00-\(trace)-\(parent)-01, 00-\(trace)-\(parent)-01", "00-4bf92f3577b34da6a3ce929d0e0e473é-\(parent)-01",
    "00-\(String(repeating: "4", count: 100_000))-\(parent)-01",
  ])
  func whatIsMalformedIsIgnored(_ header: String) {
    #expect(TraceContext(header) == nil)
  }
}
