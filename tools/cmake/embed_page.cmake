# Writes OUTPUT, a source file that holds the text of INPUT: cmake -DINPUT=… -DOUTPUT=… -P embed_page.cmake
file(READ ${INPUT} text)
file(WRITE ${OUTPUT}
     "#include \"web_page.h\"\n\nstd::string_view pawl::observe::web_page() noexcept {\n  return R\"page(${text})page\";\n}\n")
