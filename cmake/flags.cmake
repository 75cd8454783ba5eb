# Compiler and linker flags of everything that is built here.
add_compile_options(
    -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers
    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
    -fvisibility=hidden
    $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>)
if(CMAKE_UNITY_BUILD)
    # A source that is included is taken for a header by this warning.
    add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
endif()
if(GORB_WERROR)
    add_compile_options(-Werror)
endif()
add_link_options(-Wl,--as-needed)

if(GORB_HARDEN)
    include(CheckPIESupported)
    check_pie_supported()
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
    add_compile_definitions($<$<CONFIG:RelWithDebInfo,Release>:_FORTIFY_SOURCE=2>)
    add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

# What it brings is in core/README.md. Tests are linked without, which is quicker (tests/CMakeLists.txt): for them objects are
# fat, which doubles the compiler's work.
if(GORB_LTO)
    set(gorb_lto -flto=auto $<$<BOOL:${BUILD_TESTING}>:-ffat-lto-objects>)
    add_compile_options(${gorb_lto})
    add_link_options(${gorb_lto})
endif()

if(GORB_SANITIZE)
    add_compile_options(-fsanitize=${GORB_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${GORB_SANITIZE})
    if(GORB_SANITIZE MATCHES undefined)
        # It looks at memory through a pipe, and calls an object bad when no descriptor is left for one.
        add_compile_options(-fno-sanitize=vptr)
    endif()
endif()
