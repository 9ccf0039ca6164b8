/* A module for Lua, which counts in a thread-local variable. */
#include "lua.h"
#include "lauxlib.h"
static __thread int count = 40;
static int next(lua_State *state)
{
    lua_pushinteger(state, ++count);
    return 1;
}
int luaopen_counter(lua_State *state)
{
    lua_pushcfunction(state, next);
    return 1;
}
