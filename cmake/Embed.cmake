# tgc_embed(VAR FILE SYMBOL): a text as a C string, so that the compiler carries
# it; the source made from it is added to VAR.  Run as a script, it makes it.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${INPUT} text HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," text "${text}")
  string(REGEX REPLACE "(0x0a,)" "\\1\n" text "${text}")
  file(WRITE ${OUTPUT} "extern const char ${SYMBOL}[];\n"
                       "const char ${SYMBOL}[] = {\n${text}0};\n")
  return()
endif()

set(TGC_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(tgc_embed variable input symbol)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${symbol}_text.c)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${input} -DOUTPUT=${output}
            -DSYMBOL=${symbol} -P ${TGC_EMBED_SCRIPT}
    DEPENDS ${input} ${TGC_EMBED_SCRIPT})
  set(${variable} ${${variable}} ${output} PARENT_SCOPE)
endfunction()
