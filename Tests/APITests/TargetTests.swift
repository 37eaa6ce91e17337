import API
import Testing

@Suite struct TargetTests {
  @Test(
    arguments: [
      ("/api/ints", "/api/ints"), ("/api/ints/", "/api/ints"), ("//api/ints", "/api/ints"),
      ("/api//ints///", "/api/ints"), ("/api/%69nts", "/api/ints"), ("/%61%70%69/%49nts", "/api/Ints"),
      ("/", "/"), ("//", "/"), ("/%2F", "/%2F"), ("/a%2fb", "/a%2Fb"), ("/a%3fb?c", "/a%3Fb"),
      ("/%c3%ab", "/%C3%AB"), ("/%2569", "/%2569"), ("/%zz/%6", "/%zz/%6"), ("/%", "/%"), ("/a%+f", "/a%+f"),
      ("/%%63e", "/%%63e"), ("/%%36%33//", "/%%36%33//"),
      ("/api/../ints", "/api/../ints"), ("/api/%2e%2e/ints", "/api/../ints"), ("*", "*"), ("", ""), ("?a", ""),
      ("/api/ints?//", "/api/ints"), ("/api/ints/?a=%69", "/api/ints"), ("/a:b@c", "/a:b@c"),
      // A mark that combines with a slash or a percent sign leaves it what it is.
      ("/\u{301}a//b/", "/\u{301}a/b"), ("/%\u{6DB}//", "/%\u{6DB}//"), ("//\u{301}", "/\u{301}"),
    ])
  func pathsThatMeanTheSameAreWrittenTheSame(sent: String, path: String) {
    #expect(Target(sent).path == path)
    #expect(Target(path).path == path)
  }

  @Test(
    arguments: [
      ("/a?b=c", "b=c"), ("/a/?b=%69//?", "b=%69//?"), ("/a", ""), ("/a?", ""), ("/a?b#c?d", "b"), ("/a#b?c", ""),
      ("/%69?a", "a"),
    ])
  func theQueryIsAsItWasSent(sent: String, query: String) {
    #expect(String(decoding: Target(sent).query, as: UTF8.self) == query)
  }

  @Test(
    arguments: [
      ("http://localhost/api/ints?a=b", "/api/ints?a=b"), ("HTTPS://h:443/", "/"), ("http://h", "/"),
      ("http://h?a=/b", "/?a=/b"), ("http://u@[::1]:80/x//y", "/x//y"), ("http://h/a?b=http://c/d", "/a?b=http://c/d"),
      ("http://h/a?b=%zz", "/a?b=%zz"), ("http:///a", "/a"),
      ("/api/ints?a=http://b/c", nil), ("//h/a", nil), ("*", nil), ("", nil), ("h:80", nil), ("ftp://h/a", nil),
      ("http:/a", nil), ("http://h/\u{301}a", "/\u{301}a"), ("http://h\u{301}/a", "/a"), ("http://\u{301}/a", "/a"),
    ] as [(String, String?)])
  func theAbsoluteFormLosesItsAuthority(sent: String, form: String?) {
    #expect(Target.originForm(sent) == form)
  }
}
