import PostgresStore
import Testing

@Suite struct ConnectionTargetTests {
  @Test func whatIsShownHasNoPassword() throws {
    let urls = [
      "postgres://u:s3cret@h1:1,h2:2/name?sslmode=require": "postgres://u@h1:1,h2:2/name",
      "postgresql://u@h/name?password=s3cret&port=5": "postgres://u@h:5/name",
      "postgres://h": "postgres://h",
      "postgres:///name?host=/run/x": "postgres:///run/x/name",
    ]
    for (url, place) in urls { #expect(try ConnectionTarget(url: url).place == place) }
  }

  @Test(arguments: [
    "postgres://u:s3cret@h:notaport:1/x", "postgres://u:s3%zz@h/x", "postgres://u:s3cret@h/x?no=1",
    "mysql://u:s3cret@h",
    "postgres:", "postgres://[::1/x",
  ])
  func aBadURLIsNotRepeated(_ url: String) {
    do {
      _ = try ConnectionTarget(url: url)
      // libpq looks at ports and hosts only when it connects.
    } catch {
      #expect(!"\(error)".contains("s3"))
    }
  }

  @Test func passwordsAreFoundInArguments() {
    func hidden(_ argument: String) -> String {
      var bytes = Array(argument.utf8)
      for index in ConnectionTarget.secret(in: argument) ?? [] { bytes[index] = UInt8(ascii: "x") }
      return String(decoding: bytes, as: UTF8.self)
    }
    #expect(hidden("--database=postgres://u:pä@h/n") == "--database=postgres://u:xxx@h/n")
    #expect(hidden("postgres://u:a@b@h/n?password=abc&x=1") == "postgres://u:xxx@h/n?password=xxx&x=1")
    #expect(ConnectionTarget.secret(in: "postgres://u@h:5432/n?sslmode=require") == nil)
    #expect(ConnectionTarget.secret(in: "--database") == nil)
    #expect(ConnectionTarget.secret(in: "https://u:p@h/") == nil)
  }
}
